"""Offboarding: one action takes all access away and then tries whether it is really gone."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.actors import Actor
from accounts.models import User
from accounts.offboarding.credential_kinds import CredentialKind, credential_kinds
from accounts.offboarding.report import VERIFIED, Report, report_of
from accounts.services.approvals import acts
from accounts.services.approvals.rule import needs_second_owner, require_second_owner
from accounts.services.ranks import require_rank
from accounts.services.sessions import revoke_credentials
from accounts.services.users import disable_user, lock_account
from audit import audit_log
from core.errors import UserDeleted
from core.locks import lock_users

# Of one kind, at most so many are tried; all are ended.
MAX_PROBED = 500
# How long a kind may take until it is refused. Everything is refused at once; a cache that is told
# late would show here.
PATIENCE_SECONDS = 2.0
RETRY_SECONDS = 0.02


def _begin(*, actor: Actor, user: User, reason: str = "") -> Callable[[], Report]:
    """Take the access away; returns the function that tries it, for after the commit."""
    started, kinds = time.monotonic(), credential_kinds()
    with transaction.atomic():
        current = lock_account(user)
        require_rank(actor, current)
        require_second_owner(actor, current)
        now, was_disabled = timezone.now(), not current.is_active
        found = {kind.name: kind.find(current, now) for kind in kinds}
        for kind in kinds:
            kind.end(current, now)
        if was_disabled:
            revoke_credentials(current, "offboarded")
        disable_user(actor=actor, user=current, reason=reason)
        counts = {name: len(credentials) for name, credentials in found.items()}
        audit_log.record(
            "account:user:offboard",
            actor=actor,
            target=current,
            counts=counts,
            was_disabled=was_disabled,
            reason=reason[:200],
        )

    def prove() -> Report:
        results = {kind.name: _probe(kind, user.pk, found[kind.name], started) for kind in kinds}
        return _record(actor, current, results, was_disabled=was_disabled)

    return prove


@needs_second_owner(acts.OFFBOARD, run=_begin)
def offboard(*, actor: Actor, user: User, reason: str = "") -> Report:
    """Disable `user`, end every credential, and try each of them again.

    The same rules as for disable_user(): raises Forbidden, LastOwner, RecordInvalid. Safe to
    repeat: a disabled account stays disabled, and what is left ends. Writes the audit rows of
    disable_user(), one with the counts in the same transaction, and one with the result of the
    attempts. Call it outside of a transaction, so that the attempts see what other requests see.
    """
    return _begin(actor=actor, user=user, reason=reason)()


def _probe(
    kind: CredentialKind, user_id: UUID, credentials: Sequence[Any], started: float
) -> Mapping[str, Any]:
    """Try credentials until all are refused, or PATIENCE_SECONDS are over. See KindResult."""
    waiting = list(credentials[:MAX_PROBED])
    probed, reasons = len(waiting), Counter[str]()
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while waiting:
        user = User.all_objects.filter(pk=user_id).first()
        if user is None:
            raise UserDeleted
        refusals = [(each, kind.refusal(user, each)) for each in waiting]
        reasons.update(reason for _each, reason in refusals if reason)
        waiting = [each for each, reason in refusals if not reason]
        if not waiting or time.monotonic() >= give_up_at:
            break
        time.sleep(RETRY_SECONDS)
    return {
        "count": len(credentials),
        "probed": probed,
        "accepted": len(waiting),
        "milliseconds": round((time.monotonic() - started) * 1000),
        "reasons": dict(reasons),
    }


def _record(
    actor: Actor, user: User, results: Mapping[str, Mapping[str, Any]], *, was_disabled: bool
) -> Report:
    is_proved = not any(result["accepted"] for result in results.values())
    with transaction.atomic():
        lock_users(user.pk)
        event = audit_log.record(
            VERIFIED,
            actor=actor,
            target=user,
            result="success" if is_proved else "failure",
            kinds=results,
            was_disabled=was_disabled,
        )
    return report_of(event)
