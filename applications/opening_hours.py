"""When people may sign in to an app: lines such as `mon-fri 08:00-18:00`. Pure.

Times are those of a zone that callers know. A span that ends before it begins goes on past midnight
and belongs to the day on which it begins.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.utils.dates import WEEKDAYS_ABBR
from django.utils.translation import gettext as _

MAX_LINES, MAX_LINE = 20, 80
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# What else people type for these days, in the languages of the panel.
_OTHER_NAMES = {"mo": 0, "di": 1, "mi": 2, "do": 3, "fr": 4, "sa": 5, "so": 6, "su": 6, "tu": 1,
                "we": 2, "th": 3}  # fmt: skip
_NUMBERS = {name: number for number, name in enumerate(DAYS)} | _OTHER_NAMES
_LINE = re.compile(
    r"(?P<days>[a-z]{2,3}(?:[-,][a-z]{2,3})*) (?P<begin>[0-9]{1,2}:[0-9]{2})"
    r"-(?P<end>[0-9]{1,2}:[0-9]{2})",
    re.ASCII,
)
MIDNIGHT = 24 * 60
DASH = "\N{EN DASH}"


class Span(NamedTuple):
    """days: numbers, 0 for Monday. begin, end: minutes of the day; end may be 24 * 60."""

    days: frozenset[int]
    begin: int
    end: int

    def ends_at(self, local: datetime) -> datetime | None:
        """When the span that contains `local` ends; None if none does."""
        minute, day = local.hour * 60 + local.minute, local.weekday()
        is_over_midnight = self.end <= self.begin
        if day in self.days and self.begin <= minute and (is_over_midnight or minute < self.end):
            return _at(local, self.end + (MIDNIGHT if is_over_midnight else 0))
        if is_over_midnight and (day - 1) % 7 in self.days and minute < self.end:
            return _at(local, self.end)
        return None


def hours_of(lines: Iterable[str]) -> list[str]:
    """The lines as they are stored, each once. Raises ValueError with a message for the user."""
    typed = [" ".join(str(line).split()) for line in lines]
    found = list(dict.fromkeys(_written(_span(line)) for line in typed if line))
    if len(found) > MAX_LINES:
        raise ValueError(_("At most %(most)d lines.") % {"most": MAX_LINES})
    return found


def open_until(lines: Sequence[str], local: datetime) -> datetime | None:
    """When the hours end that contain `local`; None if none do. For hours
    without an end, the end of a span in about a week.

    lines: stored ones. local: in the zone of the hours.
    """
    spans = [_span(line) for line in lines]
    moment, limit = local, local + timedelta(days=7)
    while moment < limit:
        ends = [end for end in (span.ends_at(moment) for span in spans) if end is not None]
        if not ends:
            break
        moment = max(ends)
    return moment if moment > local else None


def spoken(lines: Iterable[str]) -> str:
    """For people: the lines with the names of days in the language of the reader."""
    return "; ".join(_line_in_words(line) for line in lines)


def _line_in_words(line: str) -> str:
    days, _space, times = line.partition(" ")
    words = [
        DASH.join(str(WEEKDAYS_ABBR[_NUMBERS[day]]) for day in part.split("-"))
        for part in days.split(",")
    ]
    return f"{', '.join(words)} {times.replace('-', DASH)}"


def _span(line: str) -> Span:
    found = _LINE.fullmatch(line.lower().replace(DASH, "-").replace(", ", ","))
    if found is None or len(line) > MAX_LINE:
        raise ValueError(_no_line(line))
    days: set[int] = set()
    for part in found["days"].split(","):
        days |= _days(part, line)
    begin, end = _minutes(found["begin"], line), _minutes(found["end"], line)
    if begin in (end, MIDNIGHT):
        raise ValueError(_no_line(line))
    return Span(frozenset(days), begin, end)


def _days(part: str, line: str) -> set[int]:
    """The days of `mon` or `mon-fri`; `sat-mon` goes past Sunday."""
    numbers = [_NUMBERS.get(name, -1) for name in part.split("-")]
    if -1 in numbers or len(numbers) > 2:
        raise ValueError(_no_line(line))
    first, last = numbers[0], numbers[-1]
    return {(first + step) % 7 for step in range((last - first) % 7 + 1)}


def _minutes(text: str, line: str) -> int:
    hours, _colon, minutes = text.partition(":")
    found = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or found > MIDNIGHT:
        raise ValueError(_no_line(line))
    return found


def _written(span: Span) -> str:
    runs: list[list[int]] = []
    for day in sorted(span.days):
        if runs and day == runs[-1][-1] + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    days = ",".join(
        DAYS[run[0]] if len(run) == 1 else f"{DAYS[run[0]]}-{DAYS[run[-1]]}" for run in runs
    )
    return f"{days} {_clock(span.begin)}-{_clock(span.end)}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _at(local: datetime, minutes: int) -> datetime:
    """That many minutes after the midnight before `local`, by the clock on the wall."""
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(minutes=minutes)


def _no_line(line: str) -> str:
    text = _("“%(line)s” is no time. Enter days and hours, as in mon-fri 08:00-18:00.")
    return text % {"line": line[:50]}
