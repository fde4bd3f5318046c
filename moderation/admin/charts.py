"""A subject's total over time as a line: up with each violation, decaying between them.

Pure: no database, no settings, no clock. Bar charts are in accounts.admin.dashboard.charts.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from accounts.admin.dashboard.charts import round_up
from moderation import scoring

WIDTH, HEIGHT = 600, 160
# Left of the first violation, so that its step is visible.
MARGIN = 24
# Line segments that draw the decay between two violations.
PIECES = 8


class Rise(NamedTuple):
    """The total before and after a violation."""

    at: datetime
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Rises in order of time, at least one. level: the total at which the ban was issued."""

    rises: tuple[Rise, ...]
    level: float | None

    @property
    def view_box(self) -> str:
        return f"0 0 {WIDTH} {HEIGHT}"

    @property
    def top(self) -> int:
        """The total at the upper edge."""
        highest = max(max(rise.before, rise.after) for rise in self.rises)
        return round_up(math.ceil(max(highest, self.level or highest)))

    @property
    def middle(self) -> int:
        return self.top // 2

    @property
    def begin(self) -> datetime:
        return self.rises[0].at

    @property
    def end(self) -> datetime:
        return self.rises[-1].at

    @property
    def line(self) -> str:
        """The SVG path of the line."""
        return "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in self._points())

    @property
    def area(self) -> str:
        """The SVG path of the area below the line."""
        return f"{self.line}V{HEIGHT}H0Z"

    @property
    def level_line(self) -> str:
        """The SVG path of the level; "" for none."""
        return "" if self.level is None else f"M0 {_number(self._y(self.level))}H{WIDTH}"

    def _points(self) -> Iterator[tuple[float, float]]:
        first = self.rises[0]
        yield 0.0, self._y(first.before)
        for number, rise in enumerate(self.rises):
            if number:
                yield from self._fall(self.rises[number - 1], rise)
            yield self._x(rise.at), self._y(rise.before)
            yield self._x(rise.at), self._y(rise.after)

    def _fall(self, start: Rise, end: Rise) -> Iterator[tuple[float, float]]:
        """The points between two rises where the total decays; none if it does not."""
        if end.before >= start.after or end.before <= 0:
            return
        ratio = end.before / start.after
        left, right = self._x(start.at), self._x(end.at)
        for piece in range(1, PIECES):
            share = piece / PIECES
            yield left + (right - left) * share, self._y(start.after * ratio**share)

    def _x(self, at: datetime) -> float:
        span = self.end - self.begin
        share = (at - self.begin) / span if span > timedelta(0) else 1.0
        return MARGIN + (WIDTH - MARGIN) * share

    def _y(self, total: float) -> float:
        return HEIGHT * (1 - max(0.0, total) / self.top)


def crossed_level(before: float, after: float, interval: float) -> float | None:
    """The highest multiple of `interval` in (before, after].

    None if there is none, because the interval was different at that time.
    """
    level = scoring.level(after, interval) * interval
    return level if before < level else None


def curve(rises: Sequence[Rise], interval: float) -> Curve:
    """The line over `rises`, with the level that the last of them crosses."""
    last = rises[-1]
    return Curve(tuple(rises), crossed_level(last.before, last.after, interval))


def _number(value: float) -> str:
    """For SVG: a decimal point in every language, and no trailing zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
