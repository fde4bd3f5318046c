"""The end of an access as people type it in commands: `7d`, `2026-12-04`, `2026-12-04T17:00`."""

from datetime import date, datetime, timedelta, tzinfo

from core.text.durations import DurationError, parse_duration
from core.text.plain_text import echo

FORMS = "a date (2026-12-04), a time (2026-12-04T17:00) or a duration (12h, 14d, 2w)"


def parse_end_time(text: str, now: datetime, zone: tzinfo) -> datetime:
    """The moment that `text` means. Raises ValueError, with what is wrong.

    A date is the end of that day. Dates and times without an offset are in `zone`.
    """
    try:
        return now + parse_duration(text, bare_unit=None)
    except DurationError:
        pass
    try:
        if len(text.strip()) == len("2026-12-04"):
            day = date.fromisoformat(text.strip()) + timedelta(days=1)
            return datetime(day.year, day.month, day.day, tzinfo=zone)
        moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise ValueError(f"{echo(text)} is no end: write {FORMS}.") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
