"""Shared by tests of moderation."""

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from moderation.models import Ban
from moderation.scoring import NEVER

AWAY = "203.0.113.7"
ELSEWHERE = "198.51.100.9"


@pytest.fixture
def exact_scores(settings) -> None:
    """Totals that stay whole numbers: nothing fades while a test runs."""
    settings.MODERATION_SCORE_HALF_LIFE = NEVER


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """clock(60): it is a minute later, for counters and bans. It stands still in between."""
    real_now, start = timezone.now, time.time()
    passed = [0.0]
    monkeypatch.setattr(time, "time", lambda: start + passed[0])
    monkeypatch.setattr(timezone, "now", lambda: real_now() + timedelta(seconds=passed[0]))

    def forward(seconds: float) -> None:
        passed[0] += seconds

    return forward


@pytest.fixture
def from_network() -> Callable[[str], Client]:
    """from_network("203.0.113.7") -> an anonymous browser there."""
    return lambda ip: Client(headers={"host": "localhost:8000"}, REMOTE_ADDR=ip)


@pytest.fixture
def make_ban(db: None) -> Callable[..., Ban]:
    """make_ban(user=…, network=…, hours=2) -> Ban; hours None lasts until it is lifted."""

    def make(hours: float | None = 2, **fields: object) -> Ban:
        ban = Ban(kind="manual", reason="Too loud.", **fields)  # type: ignore[misc]
        ban.until = None if hours is None else ban.created_at + timedelta(hours=hours)
        ban.save(force_insert=True)
        return ban

    return make
