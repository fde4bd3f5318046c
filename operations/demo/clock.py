"""The clock of the history that the command `demo` makes up.

Services take the time from django.utils.timezone.now(), so that function is what has to return the
time of the story. The seam is as narrow as it can be: it exists only inside history(), in the one
process of the command; it never returns a time to come, and never goes back. The audit log cannot
be rewritten with it: rows are appended after the last one, whatever their time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from typing import Self, cast

from django.utils import timezone


class HistoryClock:
    """Tells the time of the story."""

    def __init__(self, start: datetime, end: datetime) -> None:
        self.now, self._end = start, end

    def move_to(self, at: datetime) -> None:
        """Go on to `at`. Raises ValueError for an earlier time, and for one after the end."""
        if not self.now <= at <= self._end:
            raise ValueError(f"the story is at {self.now} and ends at {self._end}, not at {at}")
        self.now = at


@contextmanager
def history(start: datetime) -> Iterator[HistoryClock]:
    """Inside the block, timezone.now() returns the time of the story, first `start`."""
    clock = HistoryClock(start, timezone.now())

    class StoryDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cast("Self", clock.now.astimezone(tz))

    # Fields of models hold the function timezone.now itself, so what it calls is replaced.
    names = vars(timezone)
    before = names["datetime"]
    names["datetime"] = StoryDatetime
    try:
        yield clock
    finally:
        names["datetime"] = before
