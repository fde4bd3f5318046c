"""The request quota of API keys, cheap enough for every request.

One atomic counter in the cache holds the uses of all processes. A process reserves a share (one
twentieth of the limit) and consumes it in memory, so most requests do not access the cache. An
unused rest of a share is lost at the end of the window: with n processes a key may be refused up to
n shares early, but it never exceeds the limit.
"""

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from django.conf import settings

from core import counters
from core.errors import RateLimited

SHARES = 20
NOTE_EVERY = timedelta(minutes=1)
QUOTAS_MAX = 10_000


@dataclass(slots=True)
class KeyQuota:
    """State of one key in this process: current window, remaining share, last recorded use."""

    window: int = -1
    left: int = 0
    is_exhausted: bool = False
    noted_at: datetime | None = None
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


_quotas: dict[str, KeyQuota] = {}


def consume(key_id: str, now: datetime) -> None:
    """Count one use. Raises RateLimited after API_KEY_MAX uses in API_KEY_WINDOW."""
    seconds = max(1, int(settings.API_KEY_WINDOW.total_seconds()))
    window, passed = divmod(now.timestamp(), seconds)
    state = _quota_of(key_id)
    with state.lock:
        if state.window != int(window):
            state.window, state.left, state.is_exhausted = int(window), 0, False
        if not state.left and not state.is_exhausted:
            name = f"api-key:{key_id}:{int(window)}"
            state.left = _reserve_share(name, settings.API_KEY_MAX, timedelta(seconds=seconds))
            state.is_exhausted = not state.left
        if not state.left:
            raise RateLimited(ceil(seconds - passed))
        state.left -= 1


def is_due(key_id: str, noted_at: datetime | None, now: datetime) -> bool:
    """Whether to save the use at `now`; true at most once a minute in this process.

    noted_at: the last use in the row, which another process may have saved.
    """
    if noted_at is not None and now - noted_at < NOTE_EVERY:
        return False
    state = _quota_of(key_id)
    with state.lock:
        if state.noted_at is not None and now - state.noted_at < NOTE_EVERY:
            return False
        state.noted_at = now
    return True


def next_note(key_id: str, noted_at: datetime | None, now: datetime) -> datetime:
    """When is_due() is true again, after it was asked at `now`. noted_at: as there."""
    state = _quotas.get(key_id)
    seen = None if state is None else state.noted_at
    known = [each for each in (noted_at, seen) if each is not None]
    return max(known) + NOTE_EVERY if known else now


def _quota_of(key_id: str) -> KeyQuota:
    state = _quotas.get(key_id)
    if state is None:
        if len(_quotas) >= QUOTAS_MAX:
            _quotas.clear()
        state = _quotas.setdefault(key_id, KeyQuota())
    return state


def _reserve_share(name: str, maximum: int, window: timedelta) -> int:
    """Reserve a share of the shared counter; returns the uses it allows, 0 if none are left."""
    share = max(1, maximum // SHARES)
    total = counters.hit(name, window, amount=share).number
    return max(0, min(share, maximum - (total - share)))
