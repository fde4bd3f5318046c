"""Bar charts by day, as numbers for an SVG template. Pure: no database, no clock."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

WIDTH, HEIGHT = 600, 120
# Share of a day's width; the rest is space between days.
BARS_SHARE = 0.72
ROUND_STEPS = (2, 4, 6, 8, 10)


class Series(NamedTuple):
    """One colour of a chart. tone: good, bad, warn or plain; values: one count per day."""

    label: Any
    tone: str
    values: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.values)


class Bar(NamedTuple):
    """A rectangle in units of WIDTH and HEIGHT, y counted from the top."""

    tone: str
    x: str
    y: str
    width: str
    height: str


class Day(NamedTuple):
    """One day: its bars, and its counts for the table and the tooltip."""

    day: date
    x: str
    width: str
    bars: tuple[Bar, ...]
    counts: tuple[tuple[Any, int], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Series over the same days. name: for HTML ids."""

    name: str
    title: Any
    days: tuple[date, ...]
    series: tuple[Series, ...]

    @property
    def view_box(self) -> str:
        return f"0 0 {WIDTH} {HEIGHT}"

    @property
    def is_empty(self) -> bool:
        return not any(series.total for series in self.series)

    @property
    def top(self) -> int:
        """The count at the upper edge."""
        return round_up(max((max(series.values, default=0) for series in self.series), default=0))

    @property
    def middle(self) -> int:
        """The count at half height."""
        return self.top // 2

    @property
    def first_day(self) -> date:
        return self.days[0]

    @property
    def last_day(self) -> date:
        return self.days[-1]

    def slots(self) -> Iterator[Day]:
        """The days, oldest first."""
        width, top = WIDTH / len(self.days), self.top
        for number, day in enumerate(self.days):
            counts = tuple((series.label, series.values[number]) for series in self.series)
            bars = tuple(self._bars(number, width, top))
            yield Day(day, _number(number * width), _number(width), bars, counts)

    def _bars(self, number: int, slot: float, top: int) -> Iterator[Bar]:
        width = slot * BARS_SHARE / len(self.series)
        left = number * slot + slot * (1 - BARS_SHARE) / 2
        for place, series in enumerate(self.series):
            count = series.values[number]
            if count:
                height = HEIGHT * count / top
                x, y = left + place * width, HEIGHT - height
                yield Bar(series.tone, *map(_number, (x, y, width, height)))


def round_up(value: int) -> int:
    """Round up to 2, 4, 6, 8, 10, 20, 40, …, so that half of it is a whole number too."""
    power = 1
    while value > ROUND_STEPS[-1] * power:
        power *= 10
    return next(step * power for step in ROUND_STEPS if step * power >= value)


def by_day(days: Sequence[date], counts: dict[date, int]) -> tuple[int, ...]:
    """The count of each day, 0 for days without one."""
    return tuple(counts.get(day, 0) for day in days)


def _number(value: float) -> str:
    """For SVG: a decimal point in every language, and no trailing zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
