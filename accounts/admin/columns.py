"""How tables of the admin show a value: relative times, and a dash for nothing."""

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

NOTHING = "-"


def moment(value: datetime | None, empty: str = NOTHING) -> str | SafeString:
    """`3 hours ago`, with the exact local time as its title; `empty` for None."""
    if value is None:
        return empty
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        value.isoformat(),
        exact_moment(value),
        _spoken(value),
    )


def exact_moment(value: datetime) -> str:
    """The local date and time."""
    return date_format(timezone.localtime(value), "DATETIME_FORMAT")


def _spoken(value: datetime) -> str:
    now = timezone.now()
    if abs(now - value) < timedelta(minutes=1):
        return _("just now")
    if value > now:
        return _("in %(time)s") % {"time": timesince(now, value, depth=1)}
    return _("%(time)s ago") % {"time": timesince(value, now, depth=1)}
