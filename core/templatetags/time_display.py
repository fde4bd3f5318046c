"""`{{ expires_at|spoken_end }}`"""

from datetime import datetime

from django import template
from django.utils import timezone

from core.text import time_display

register = template.Library()


@register.filter
def spoken_end(end: datetime | None) -> str:
    """See time_display.spoken_end(); "" without an end, like the filter `date`."""
    return time_display.spoken_end(end, timezone.now()) if end else ""
