"""The time zones that a user may choose, and the zone that applies to a user. Pure."""

from datetime import tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from django.utils import timezone

UTC_NAME = "UTC"
# Other names, like `Etc/GMT+5` and `US/Eastern`, are kept for old systems only.
AREAS = frozenset(
    {"Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian",
     "Pacific"}
)  # fmt: skip


@cache
def zone_names() -> tuple[str, ...]:
    """The names to choose from, like `Europe/Berlin`, sorted; UTC first."""
    found = sorted(name for name in available_timezones() if name.partition("/")[0] in AREAS)
    return (UTC_NAME, *found)


def zone_of(name: str) -> tzinfo:
    """The zone of that name; TIME_ZONE for "" and for a name that this server does not know."""
    try:
        return ZoneInfo(name) if name else timezone.get_default_timezone()
    except (ZoneInfoNotFoundError, ValueError):
        return timezone.get_default_timezone()
