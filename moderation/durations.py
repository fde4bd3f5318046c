"""Parse and format durations such as 1d12h. Pure."""

import re
from datetime import timedelta

UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_TEXT = re.compile(r"(?:\d{1,9}[wdhms])+")
_PART = re.compile(r"(\d+)([wdhms])")


def parse_time(text: str) -> timedelta:
    """Parse 30m, 2h, 7d, 1d12h. Raises ValueError, also for a number without a unit."""
    body = text.strip().lower()
    if _TEXT.fullmatch(body) is None:
        raise ValueError(f"{text[:40]!r} is not a time; write 30m, 2h, 7d or 1d12h")
    seconds = sum(int(number) * UNITS[unit] for number, unit in _PART.findall(body))
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError(f"{text[:40]!r} is too long") from None


def time_text(duration: timedelta) -> str:
    """Format whole seconds: 1d12h, 5m, 1m30s."""
    rest = int(duration.total_seconds())
    parts = []
    for unit, size in UNITS.items():
        if unit != "w":
            count, rest = divmod(rest, size)
            parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"
