"""Times in words: "in 10 minutes (14:05 UTC)"."""

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from core.text.time_spans import format_span


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
