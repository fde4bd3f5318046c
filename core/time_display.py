"""Times in words: "in 10 minutes (14:05 UTC)"."""

from datetime import datetime, timedelta
from math import ceil

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def spoken_end(end: datetime, now: datetime) -> str:
    """The span until `end`, and its time of day in the active time zone.

    The zone is TIME_ZONE, unless the caller has activated that of the user.
    """
    left = max(end - now, timedelta())
    local, today = timezone.localtime(end), timezone.localtime(now).date()
    moment = date_format(local, "H:i")
    if local.date() != today:
        moment = f"{date_format(local, 'DATE_FORMAT')}, {moment}"
    return _("%(span)s (%(moment)s %(zone)s)") % {
        "span": format_span(left),
        "moment": moment,
        "zone": local.strftime("%Z"),
    }


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
