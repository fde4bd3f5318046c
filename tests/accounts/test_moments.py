"""Ends of links in words."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone, translation

from core.time_display import spoken_end

NOW = datetime(2026, 11, 28, 13, 55, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (timedelta(minutes=10), "in 10 minutes (14:05 UTC)"),
        (timedelta(minutes=9, seconds=40), "in 10 minutes (14:04 UTC)"),
        (timedelta(minutes=1), "in 1 minute (13:56 UTC)"),
        (timedelta(seconds=-5), "in 1 minute (13:54 UTC)"),
        (timedelta(hours=1), "in 1 hour (14:55 UTC)"),
        (timedelta(hours=24), "in 24 hours (Nov. 29, 2026, 13:55 UTC)"),
        (timedelta(days=7), "in 7 days (Dec. 5, 2026, 13:55 UTC)"),
    ],
)
def test_an_end_says_how_long_and_when(left: timedelta, text: str) -> None:
    with timezone.override("UTC"):
        assert spoken_end(NOW + left, NOW) == text


def test_an_end_is_told_in_the_zone_of_the_person() -> None:
    with timezone.override(ZoneInfo("Europe/Berlin")), translation.override("de"):
        assert "15:05 CET" in spoken_end(NOW + timedelta(minutes=10), NOW)
