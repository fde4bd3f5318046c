"""Scoring: record a violation, update its subject's total, and ban if it is due.

All in one transaction under the locks of the user and of the subject's row in Score. Do not call
record_violation() in a transaction that has already written: its locks come first.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.actors import Actor
from accounts.models import User
from accounts.services.approvals.rule import is_held
from accounts.services.sessions import revoke_sessions
from accounts.services.users import is_last_owner
from audit import audit_log
from core.locks import ROLES, acquire_lock, delete_free, lock_users
from core.web.request_context import get_request_context
from moderation import scoring
from moderation.models import Ban, Score, Violation
from moderation.networks import UNKNOWN, is_exempt, network_name
from moderation.reasons import reason_for
from moderation.services.bans import ban_details

logger = logging.getLogger("gatehouse.moderation")
DEFAULT_SCORE = 1.0
# The beginnings of subjects.
USER, NETWORK = "user:", "network:"


@dataclass(frozen=True, slots=True)
class RecordedViolation:
    """A recorded violation, and the ban that it caused."""

    violation: Violation
    ban: Ban | None


def record_violation(
    *,
    type: str,  # noqa: A002 - the name that callers know
    user: User | None = None,
    network: str = "",
    score: float | None = None,
    limit: str = "",
    detail: dict[str, Any] | None = None,
    reported_by: Actor | None = None,
) -> RecordedViolation:
    """Record a violation of `user`, or else of `network`, add its score, and ban if it is due.

    network: an address, or a name of core.web.client_ip.network_key(). score: None means the
    configured score of `type`; 0 is recorded and never bans. A ban ends the user's sessions.
    """
    name = network_name(network)
    points = settings.VIOLATION_SCORES.get(type, DEFAULT_SCORE) if score is None else score
    with transaction.atomic():
        lock_users(None if user is None else user.pk)
        row = _locked_score(subject_of(user, name))
        now = timezone.now()
        step = _step(row, points, now)
        ban = _ban_for(type, user, name, now, reported_by) if step.is_ban else None
        violation = Violation.objects.create(
            type=type[:40],
            score=points,
            subject=row.subject,
            user=user,
            network=name,
            at=now,
            limit=limit[:40],
            detail=detail or {},
            total_before=step.before,
            total_after=step.after,
            ban=ban,
            reported_by=getattr(reported_by, "pk", None),
            request_id=get_request_context().request_id,
        )
        Score.objects.filter(pk=row.pk).update(total=step.after, at=max(now, row.at))
        if ban is not None:
            audit_log.record(
                "moderation:ban:start",
                target=user,
                ban=str(ban.pk),
                kind=ban.kind,
                type=type,
                **ban_details(ban),
            )
        _record(violation, reported_by)
    return RecordedViolation(violation, ban)


def subject_of(user: User | None, network: str) -> str:
    """The subject that a violation counts against; `network` is a name of network_name()."""
    return f"{USER}{user.pk}" if user is not None else f"{NETWORK}{network or UNKNOWN}"


def purge_moderation(now: datetime, *, batches: int = 20) -> int:
    """Delete violations, ended bans and decayed scores past their retention.

    Deletes at most `batches` batches of each; returns how many rows. Never deletes a ban that may
    be in force.
    """
    before = now - settings.MODERATION_RETENTION
    count = delete_free(Violation.objects.filter(at__lt=before), batches=batches)
    count += delete_free(Ban.objects.filter(until__lt=before), batches=batches)
    count += delete_free(Ban.objects.filter(lifted_at__lt=before), batches=batches)
    half_life = settings.MODERATION_SCORE_HALF_LIFE
    if half_life:
        # After forty half-lives, about 1e-12 of a score is left.
        faded = now - max(settings.MODERATION_RETENTION, 40 * half_life)
        count += delete_free(Score.objects.filter(at__lt=faded), batches=batches)
    return count


def _locked_score(subject: str) -> Score:
    """The subject's row, created if necessary, locked until the transaction ends."""
    scores = Score.objects.select_for_update()
    found = scores.filter(pk=subject).first()
    if found is None:
        Score.objects.bulk_create([Score(subject=subject)], ignore_conflicts=True)
        found = scores.get(pk=subject)
    return found


def _step(row: Score, points: float, now: datetime) -> scoring.Step:
    return scoring.add(
        row.total,
        now - row.at if row.total else timedelta(0),
        points,
        half_life=settings.MODERATION_SCORE_HALF_LIFE,
        interval=settings.BAN_INTERVAL,
    )


def _ban_for(
    kind: str, user: User | None, network: str, now: datetime, reported_by: Actor | None
) -> Ban | None:
    """Create the ban; None if the subject may not or need not be banned."""
    if not settings.BAN_VIOLATIONS:
        logger.info("a ban was due, but BAN_VIOLATIONS is off")
        return None
    until = now + settings.BAN_DURATION
    target = "" if is_exempt(network) else network
    if user is not None and not _may_ban(user, until, reported_by):
        return None
    if user is None and (not target or _is_banned_longer(until, network=target)):
        return None
    ban = Ban.objects.create(
        user=user,
        network=target,
        kind=Ban.Kind.AUTOMATIC,
        reason=reason_for(kind),
        created_at=now,
        until=until,
    )
    if user is not None:
        revoke_sessions(user, "banned")
    return ban


def _may_ban(user: User, until: datetime, reported_by: Actor | None) -> bool:
    acquire_lock(ROLES)
    if is_held(reported_by, user):
        # Whoever may report violations could otherwise ban an owner without a second one.
        reason = "a second owner must confirm bans of owners"
        audit_log.record("moderation:ban:start", target=user, result="refused", reason=reason)
        return False
    if is_last_owner(user):
        audit_log.record("moderation:ban:start", target=user, result="refused", reason="last owner")
        return False
    return not _is_banned_longer(until, user=user)


def _is_banned_longer(until: datetime, **target: Any) -> bool:
    bans = Ban.objects.filter(**target, lifted_at=None)
    return bans.filter(until=None).exists() or bans.filter(until__gt=until).exists()


def _record(violation: Violation, reported_by: Actor | None) -> None:
    audit_log.record(
        "moderation:violation:score",
        actor=reported_by,
        target=violation.user,
        violation=str(violation.pk),
        type=violation.type,
        score=violation.score,
        total=round(violation.total_after, 3),
    )
