"""Spans of time: in words, and growing with each failure. Pure."""

from datetime import timedelta
from math import ceil

from django.utils.translation import ngettext

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def format_span(left: timedelta) -> str:
    """ "in 10 minutes", rounded up, so that a new link for ten minutes says ten."""
    if left < HOUR - timedelta(minutes=1):
        number = max(1, ceil(left / timedelta(minutes=1)))
        return ngettext("in %(number)d minute", "in %(number)d minutes", number) % {
            "number": number
        }
    if left < 2 * DAY:
        number = max(1, ceil(left / HOUR))
        return ngettext("in %(number)d hour", "in %(number)d hours", number) % {"number": number}
    number = ceil(left / DAY)
    return ngettext("in %(number)d day", "in %(number)d days", number) % {"number": number}


def doubled(first: timedelta, times: int, longest: timedelta) -> timedelta:
    """How long to wait after repeated failures: `first`, doubled `times` times, up to `longest`."""
    seconds = first.total_seconds() * 2.0 ** min(times, 60)
    return timedelta(seconds=min(seconds, longest.total_seconds()))
