"""Rows that the worker sends, and sends again after a failure: the outbox and webhooks.

A row is queued -> sending -> finished, or queued again with a later time. A conditional UPDATE
decides which process sends it. The process holds a lease; if it dies, another process takes the
row over when the lease has ended. So a row is sent at least once, and never by two at a time as
long as sending takes less than the lease.

The model has the columns status, attempts, next_attempt_at and lease_until. The functions are for
its rows; they lock nothing for longer than one statement.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from core.text.time_spans import doubled

Row = TypeVar("Row", bound=Model)
QUEUED, SENDING = "queued", "sending"
REASON_MAX_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait between attempts: doubles from `first` to `longest`, with jitter."""

    first: timedelta
    longest: timedelta

    def delay(self, attempts: int, wanted: timedelta | None = None) -> timedelta:
        """The wait after this many attempts: up to a fifth more, and never more than `longest`.

        wanted: what the other side asked for (Retry-After).
        """
        base = doubled(self.first, attempts - 1, self.longest)
        jittered = base + base * secrets.randbelow(200) / 1000
        return min(max(jittered, wanted or timedelta()), self.longest)


def due_condition(now: datetime) -> Q:
    """Rows to send now: queued and due, or left by a process that died."""
    return Q(status=QUEUED, next_attempt_at__lte=now) | Q(status=SENDING, lease_until__lte=now)


def claim_next(rows: "QuerySet[Row]", lease: timedelta) -> Row | None:
    """Claim the row of `rows` that has been due for longest; None if none is due.

    Its `attempts` counts this attempt. Its `status` is that before: SENDING if it is taken over.
    """
    while True:
        now = timezone.now()
        due = due_condition(now)
        row: Any = rows.filter(due).order_by("next_attempt_at", "id").first()
        if row is None:
            return None
        claimed = rows.model._base_manager.filter(due, pk=row.pk, attempts=row.attempts)
        if claimed.update(status=SENDING, lease_until=now + lease, attempts=row.attempts + 1):
            row.attempts += 1
            found: Row = row
            return found


def release(row: Any, **changes: Any) -> bool:
    """Save the outcome of a claimed row; False if another process has claimed it since."""
    mine = type(row)._base_manager.filter(pk=row.pk, attempts=row.attempts)
    return bool(mine.update(lease_until=None, **changes))


def one_line(text: str) -> str:
    """`text` for the database: one line without control characters, truncated."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(plain.split())[:REASON_MAX_LENGTH]
