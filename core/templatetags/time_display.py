"""`{{ expires_at|spoken_end }}`"""

from datetime import datetime

from django import template
from django.utils import timezone

from core import time_display

register = template.Library()


@register.filter
def spoken_end(end: datetime | None) -> str:
    """See moments.spoken_end(); "" without an end, as `date` has it."""
    return time_display.spoken_end(end, timezone.now()) if end else ""
