"""Refusals under short references, so that an operator can look up why somebody was refused.

They are gathered in the process and written by its worker: a flood of refused requests writes a
bounded number of rows, and no check waits for the disk. A crash loses the last two seconds.
"""

import secrets
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.locks import ROLES, house_lock
from accounts.models import User
from sso.checking import Checked
from sso.models import AccessRule, Denial

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
LENGTH = 8
# One reference for the same refusal in so long.
SAME_FOR = timedelta(minutes=1)
MOST_WAITING = 5_000
KEEP = timedelta(days=7)
MOST_KEPT = 100_000


@dataclass(slots=True)
class _Waiting:
    """Refusals that are not written yet, and the references of the last minute."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    new: dict[str, Denial] = field(default_factory=dict)
    again: dict[str, int] = field(default_factory=dict)
    known: dict[tuple[Any, ...], tuple[datetime, str]] = field(default_factory=dict)


_waiting = _Waiting()


def note_denial(checked: Checked) -> str:
    """The reference of this refusal; "" when more are waiting than are kept."""
    now = timezone.now()
    verdict, target = checked.verdict, checked.target
    user_id = checked.outcome.user_id
    place = (verdict.code, verdict.demand.rule_id, user_id, checked.ip, target.host, target.path,
             target.method)  # fmt: skip
    with _waiting.lock:
        found = _waiting.known.get(place)
        if found is not None and now - found[0] < SAME_FOR:
            _waiting.again[found[1]] = _waiting.again.get(found[1], 0) + 1
            return found[1]
        if len(_waiting.new) >= MOST_WAITING:
            return ""
        if len(_waiting.known) >= MOST_WAITING:
            _waiting.known.clear()
        row = _row(checked, now)
        _waiting.known[place] = (now, row.reference)
        _waiting.new[row.reference] = row
    return row.reference


def write_denials() -> int:
    """Worker job: write what waits; returns how many rows."""
    with _waiting.lock:
        new, _waiting.new = _waiting.new, {}
        again, _waiting.again = _waiting.again, {}
    if not new and not again:
        return 0
    for reference in list(again):
        if reference in new:
            new[reference].count += again.pop(reference)
    with transaction.atomic():
        _forget_deleted(new.values())
        Denial.objects.bulk_create(new.values(), batch_size=500, ignore_conflicts=True)
        for reference, count in again.items():
            Denial.objects.filter(pk=reference).update(count=F("count") + count)
    return len(new) + len(again)


def purge_denials(now: datetime) -> int:
    """Delete what is older than a week, and the oldest of more than MOST_KEPT."""
    gone = Denial.objects.filter(at__lt=now - KEEP).delete()[0]
    oldest = Denial.objects.order_by("-at").values_list("at", flat=True)[MOST_KEPT:][:1]
    for at in oldest:
        gone += Denial.objects.filter(at__lte=at).delete()[0]
    return gone


def _forget_deleted(rows: Collection[Denial]) -> None:
    """One person or rule that is deleted meanwhile must not lose all others their rows.

    Who deletes one holds the same lock. Without it, either would fail at its commit, where the
    database looks whether what a row names is there.
    """
    house_lock(ROLES)
    people = {row.user_id for row in rows if row.user_id}
    rules = {row.rule_id for row in rows if row.rule_id}
    people &= set(User.objects.filter(pk__in=people).values_list("pk", flat=True))
    rules &= set(AccessRule.objects.filter(pk__in=rules).values_list("pk", flat=True))
    for row in rows:
        row.user_id = row.user_id if row.user_id in people else None
        row.rule_id = row.rule_id if row.rule_id in rules else None


def reference_in(text: str) -> str:
    """The reference that somebody read out or typed; "" when it is none.

    Spaces, hyphens and case are forgiven.
    """
    found = "".join(text.split()).replace("-", "").upper()
    return found if len(found) == LENGTH and set(found) <= set(ALPHABET) else ""


def _row(checked: Checked, now: datetime) -> Denial:
    verdict, outcome, target = checked.verdict, checked.outcome, checked.target
    return Denial(
        reference="".join(secrets.choice(ALPHABET) for _place in range(LENGTH)),
        at=now,
        status=verdict.status,
        code=verdict.code,
        why=verdict.demand.why[:200],
        rule_id=_id(verdict.demand.rule_id),
        user_id=_id(outcome.user_id),
        credential=outcome.kind,
        host=target.host[:253],
        path=target.path[:500],
        method=target.method,
        ip=checked.ip,
    )


def _id(text: str | None) -> UUID | None:
    return UUID(text) if text else None
