"""Spans of time: in words, and growing with each failure. Pure.

A span and its direction are one text for each unit, because in other languages the direction
changes the words: "2 Monate", but "vor 2 Monaten".
"""

import re
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from django.utils.timesince import timesince
from django.utils.translation import ngettext_lazy

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
UNTIL: dict[str, Any] = {
    "year": ngettext_lazy("in %(num)d year", "in %(num)d years", "num"),
    "month": ngettext_lazy("in %(num)d month", "in %(num)d months", "num"),
    "week": ngettext_lazy("in %(num)d week", "in %(num)d weeks", "num"),
    "day": ngettext_lazy("in %(num)d day", "in %(num)d days", "num"),
    "hour": ngettext_lazy("in %(num)d hour", "in %(num)d hours", "num"),
    "minute": ngettext_lazy("in %(num)d minute", "in %(num)d minutes", "num"),
}
SINCE: dict[str, Any] = {
    "year": ngettext_lazy("%(num)d year ago", "%(num)d years ago", "num"),
    "month": ngettext_lazy("%(num)d month ago", "%(num)d months ago", "num"),
    "week": ngettext_lazy("%(num)d week ago", "%(num)d weeks ago", "num"),
    "day": ngettext_lazy("%(num)d day ago", "%(num)d days ago", "num"),
    "hour": ngettext_lazy("%(num)d hour ago", "%(num)d hours ago", "num"),
    "minute": ngettext_lazy("%(num)d minute ago", "%(num)d minutes ago", "num"),
}


def format_distance(value: datetime, now: datetime) -> str:
    """`3 hours ago` or `in 4 weeks`: the largest unit, rounded down."""
    texts, first, last = (UNTIL, now, value) if value > now else (SINCE, value, now)
    return _unbroken(timesince(first, last, depth=1, time_strings=texts))


def format_span(left: timedelta) -> str:
    """`in 10 minutes`, rounded up, so that a new link for ten minutes says ten."""
    if left < HOUR - timedelta(minutes=1):
        return str(UNTIL["minute"] % {"num": max(1, ceil(left / timedelta(minutes=1)))})
    if left < 2 * DAY:
        return str(UNTIL["hour"] % {"num": max(1, ceil(left / HOUR))})
    return str(UNTIL["day"] % {"num": ceil(left / DAY)})


def _unbroken(text: str) -> str:
    """Only the number and its unit stay on one line; Django joins every word."""
    return re.sub(r"(\d) ", "\\1\xa0", text.replace("\xa0", " "), count=1)


def doubled(first: timedelta, times: int, longest: timedelta) -> timedelta:
    """How long to wait after repeated failures: `first`, doubled `times` times, up to `longest`."""
    seconds = first.total_seconds() * 2.0 ** min(times, 60)
    return timedelta(seconds=min(seconds, longest.total_seconds()))
