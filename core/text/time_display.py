"""How times are shown everywhere: "in 10 minutes (14:05 UTC)", or a `<time>` element.

The language and the zone are the active ones: pages activate those of their reader, and mails those
of their recipient. The default zone is TIME_ZONE.
"""

from datetime import UTC, datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from core.text.time_spans import format_distance, format_span


def spoken_end(end: datetime, now: datetime) -> str:
    """The span until `end` and its time, for sentences; the date too if it is not today."""
    left = max(end - now, timedelta())
    local = timezone.localtime(end)
    is_today = local.date() == timezone.localtime(now).date()
    return _("%(span)s (%(moment)s)") % {
        "span": format_span(left),
        "moment": _clock(local) if is_today else exact_moment(end),
    }


def spoken_moment(value: datetime, now: datetime) -> str:
    """`3 hours ago`, `in 2 days` or `just now`."""
    if abs(now - value) < timedelta(minutes=1):
        return _("just now")
    return format_distance(value, now)


def exact_moment(value: datetime) -> str:
    """The date, time and zone: `Nov. 28, 2026, 14:55 CET`."""
    local = timezone.localtime(value)
    return f"{date_format(local, 'DATE_FORMAT')}, {_clock(local)}"


def moment_html(value: datetime, now: datetime, shape: str = "ago") -> SafeString:
    """A `<time>` element: machines read UTC in it, and its tooltip tells the rest.

    shape: "ago" shows `3 hours ago`; "exact" shows date, time and zone; "day" shows the date.
    """
    texts = {"ago": spoken_moment(value, now), "exact": exact_moment(value), "day": _day(value)}
    beside = "exact" if shape == "ago" else "ago"
    in_utc = value.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        in_utc.isoformat(),
        f"{texts[beside]} · {in_utc:%Y-%m-%d %H:%M} UTC",
        texts[shape],
    )


def _day(value: datetime) -> str:
    return date_format(timezone.localtime(value), "DATE_FORMAT")


def _clock(local: datetime) -> str:
    """`14:55 CET`. Zones without an abbreviation show their offset."""
    name = local.tzname() or ""
    zone = f"UTC{name}" if name[:1] in "+-" else name
    return f"{date_format(local, 'H:i')} {zone}"
