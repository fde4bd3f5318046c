"""`{% moment key.created_at %}` and `{{ expires_at|spoken_end }}`; see core.text.time_display."""

from datetime import datetime

from django import template
from django.utils import timezone

from core.text import time_display

register = template.Library()


@register.filter
def spoken_end(end: datetime | None) -> str:
    """See time_display.spoken_end(); "" without an end, like the filter `date`."""
    return time_display.spoken_end(end, timezone.now()) if end else ""


@register.filter
def exact_time(value: datetime) -> str:
    """See time_display.exact_moment()."""
    return time_display.exact_moment(value)


@register.simple_tag
def moment(value: datetime | None, shape: str = "ago", empty: str = "") -> str:
    """See time_display.moment_html(); `empty` without a value.

    In a sentence: {% moment value as when %}{% blocktranslate %}used {{ when }}{% ... %}.
    """
    return time_display.moment_html(value, timezone.now(), shape) if value else empty
