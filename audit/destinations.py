"""Destinations outside to which the worker sends the log: how far each is, and who sends now.

Each has a row with the number of the last event that has arrived. A conditional UPDATE decides
which process sends; it holds a lease, so nothing is locked while it waits for another server. If
it dies, another one sends the same events again: each arrives at least once, and in order.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from audit.models import AuditDestination, AuditEvent
from core.locks import AUDIT
from core.models import NamedLock
from core.queue import Backoff, one_line

ANCHOR, SYSLOG = "anchor", "syslog"
LEASE = timedelta(minutes=2)
BACKOFF = Backoff(first=timedelta(seconds=5), longest=timedelta(minutes=5))
# Events that have waited so long are late.
LATE = timedelta(minutes=10)


class Lag(NamedTuple):
    """What a destination lacks. oldest: the time of the first event that has not arrived."""

    name: str
    oldest: datetime | None
    failing_since: datetime | None
    last_error: str

    def age(self, now: datetime) -> timedelta:
        return max(timedelta(), now - self.oldest) if self.oldest else timedelta()


def used() -> dict[str, timedelta]:
    """The destinations that settings name, and how long events may wait for each."""
    found = {}
    if settings.AUDIT_SYSLOG:
        found[SYSLOG] = LATE
    if settings.AUDIT_ANCHOR:
        found[ANCHOR] = settings.AUDIT_ANCHOR_EVERY + LATE
    return found


def claim(name: str) -> AuditDestination | None:
    """Let this process alone send for LEASE; None if another one does, or it is not time yet.

    A new destination begins with the first event of the log.
    """
    row, _is_new = AuditDestination.objects.get_or_create(pk=name)
    now = timezone.now()  # a new row is due
    free = Q(lease_until=None) | Q(lease_until__lte=now)
    due = AuditDestination.objects.filter(
        free, pk=name, next_attempt_at__lte=now, seq=row.seq, failures=row.failures
    )
    if not due.exists():  # spare SQLite a write transaction every two seconds
        return None
    row.lease_until = now + LEASE
    return row if due.update(lease_until=row.lease_until) else None


def note_success(row: AuditDestination, seq: int, *, wait: timedelta = timedelta()) -> None:
    """The events up to `seq` have arrived. wait: until the next ones."""
    now = timezone.now()
    _release(
        row,
        seq=seq,
        sent_at=now,
        failing_since=None,
        failures=0,
        last_error="",
        next_attempt_at=now + wait,
    )


def note_failure(row: AuditDestination, reason: str) -> None:
    """Nothing has arrived; the same events are sent again later."""
    now = timezone.now()
    _release(
        row,
        failing_since=row.failing_since or now,
        failures=row.failures + 1,
        last_error=one_line(reason),
        next_attempt_at=now + BACKOFF.delay(row.failures + 1),
    )


def release(row: AuditDestination, *, wait: timedelta = timedelta()) -> None:
    """There was nothing to send."""
    _release(row, next_attempt_at=timezone.now() + wait)


def lags() -> list[Lag]:
    """What each destination that is in use lacks."""
    rows = AuditDestination.objects.in_bulk(list(used()))
    found = []
    for name in used():
        row = rows.get(name) or AuditDestination(name=name)
        waiting = AuditEvent.objects.filter(seq__gt=row.seq).order_by("seq")
        oldest = waiting.values_list("at", flat=True).first()
        found.append(Lag(name, oldest, row.failing_since, row.last_error))
    return found


def head_seq() -> int:
    """The number of the newest event."""
    return NamedLock.objects.values_list("seq", flat=True).get(pk=AUDIT)


def _release(row: AuditDestination, **changes: object) -> None:
    mine = AuditDestination.objects.filter(pk=row.pk, lease_until=row.lease_until)
    mine.update(lease_until=None, **changes)
