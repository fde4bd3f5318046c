"""Refusals under short references, so that an operator can look up why somebody was refused.

They are gathered in the process and written by its worker, so that no check waits for the disk. A
crash loses the last two seconds.

Strangers (401) and people (403) have places of their own, in a minute and in the table, so that a
flood of the one hides nothing of the other. In a minute each client or person gets a few rows of
their own, and all together some more. What comes beyond is counted by one row for all of its kind.
"""

import secrets
import threading
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.client import network_key
from accounts.locks import ROLES, delete_free, house_lock, lock_people
from accounts.models import User
from sso.checking import Checked
from sso.models import AccessRule, Denial

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
LENGTH = 8
# One reference for the same refusal in so long.
SAME_FOR = timedelta(minutes=1)
MOST_WAITING = 5_000
KEEP = timedelta(days=7)
MORE = "one of more refusals in a minute than are written one by one; this row counts the rest"


@dataclass(frozen=True, slots=True)
class _Bound:
    """How many rows there are: of one client or person in a minute of one process, of all in a
    minute, and in the table.
    """

    each: int
    minute: int
    kept: int


STRANGERS = _Bound(each=20, minute=60, kept=20_000)
PEOPLE = _Bound(each=30, minute=300, kept=100_000)


@dataclass(slots=True)
class _Waiting:
    """Refusals that are not written yet, and the references of the last minute.

    known: by a digest, because what is asked for may be long. used: rows of `minute`, by kind and
    by whom.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    new: dict[str, Denial] = field(default_factory=dict)
    again: dict[str, int] = field(default_factory=dict)
    known: dict[bytes, tuple[datetime, str]] = field(default_factory=dict)
    minute: int = 0
    used: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def reference(self, place: bytes, now: datetime) -> str:
        """That of a row that there is for this; counts it once more. "" for none."""
        found = self.known.get(place)
        if found is None or now - found[0] >= SAME_FOR:
            return ""
        self.again[found[1]] = self.again.get(found[1], 0) + 1
        return found[1]

    def has_room(self, whose: tuple[str, str], bound: _Bound, now: datetime) -> bool:
        """May there be one more row in this minute? Takes it."""
        minute = int(now.timestamp() // SAME_FOR.total_seconds())
        if minute != self.minute:
            self.minute, self.used = minute, Counter()
            self.known = {
                place: row for place, row in self.known.items() if now - row[0] < SAME_FOR
            }
        kind = whose[:1]
        if self.used[whose] >= bound.each or self.used[kind] >= bound.minute:
            return False
        self.used[whose] += 1
        self.used[kind] += 1
        return True


_waiting = _Waiting()


def note_denial(checked: Checked) -> str:
    """The reference of this refusal; "" when more are waiting than are kept."""
    now = timezone.now()
    place = checked.place = checked.place or _place(checked)
    with _waiting.lock:
        found = _waiting.reference(place, now)
    # Most refusals are the same again: whose they are takes longer to tell than all the rest.
    if found:
        return found
    verdict, user_id = checked.verdict, checked.outcome.user_id
    is_stranger = verdict.status == 401
    whose = ("stranger", network_key(checked.ip)) if is_stranger else ("person", str(user_id))
    make = _row
    with _waiting.lock:
        found = _waiting.reference(place, now)
        if not found and not _waiting.has_room(whose, STRANGERS if is_stranger else PEOPLE, now):
            place, make = _digest(whose[0], verdict.code), _row_of_more
            found = _waiting.reference(place, now)
        if found or len(_waiting.new) >= MOST_WAITING:
            return found
        row = make(checked, now)
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
    """Delete what is older than a week, and of either kind the oldest of too many."""
    gone = delete_free(Denial.objects.filter(at__lt=now - KEEP))
    strangers = Denial.objects.filter(status=401)
    people = Denial.objects.exclude(status=401)
    for rows, bound in ((strangers, STRANGERS), (people, PEOPLE)):
        oldest = rows.order_by("-at").values_list("at", flat=True)[bound.kept :][:1]
        for at in oldest:
            gone += delete_free(rows.filter(at__lte=at))
    return gone


def _forget_deleted(rows: Collection[Denial]) -> None:
    """One person or rule that is deleted meanwhile must not lose all others their rows.

    Who deletes one holds the same locks. Without them, either would fail at its commit, where the
    database looks whether what a row names is there.
    """
    people = {row.user_id for row in rows if row.user_id}
    lock_people(*people)
    house_lock(ROLES)
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


def _row_of_more(checked: Checked, now: datetime) -> Denial:
    """A row for many: it says nothing that belongs to one of them alone."""
    row = _row(checked, now)
    row.why, row.rule_id, row.user_id = MORE, None, None
    row.credential = row.host = row.path = row.method = row.ip = ""
    return row


def _place(checked: Checked) -> bytes:
    """What makes a refusal the same again."""
    verdict, target = checked.verdict, checked.target
    return _digest(verdict.code, verdict.demand.rule_id, checked.outcome.user_id, checked.ip,
                   target.host, target.path, target.method)  # fmt: skip


def _digest(*parts: str | None) -> bytes:
    return blake2b("\n".join(map(repr, parts)).encode()).digest()


def _id(text: str | None) -> UUID | None:
    return UUID(text) if text else None
