"""How often a key may be used, and when its use was last noted: cheap enough for every request.

The count of all processes is one atomic counter of the cache. A process takes a share of it at a
time (a twentieth of the limit) and spends that by itself, so that most requests touch nothing.
What it does not spend is lost at the end of the window: with n processes a key may be refused up
to n shares early, and it is never used more often than the limit says.
"""

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from django.conf import settings
from django.core.cache import caches

from core.errors import RateLimited

SHARES = 20
NOTE_EVERY = timedelta(minutes=1)
QUOTAS_MAX = 10_000


@dataclass(slots=True)
class KeyQuota:
    """What this process knows of one key: the window it spends in, what is left, the last note."""

    window: int = -1
    left: int = 0
    is_full: bool = False
    noted_at: datetime | None = None
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


_quotas: dict[str, KeyQuota] = {}


def consume(key_id: str, now: datetime) -> None:
    """Count one use. Raises RateLimited when API_KEY_MAX in API_KEY_WINDOW are spent."""
    seconds = max(1, int(settings.API_KEY_WINDOW.total_seconds()))
    window, passed = divmod(now.timestamp(), seconds)
    key_quota = _quota_of(key_id)
    with key_quota.lock:
        if key_quota.window != int(window):
            key_quota.window, key_quota.left, key_quota.is_full = int(window), 0, False
        if not key_quota.left and not key_quota.is_full:
            key_quota.left = _draw(f"api-key:{key_id}:{int(window)}", settings.API_KEY_MAX, seconds)
            key_quota.is_full = not key_quota.left
        if not key_quota.left:
            raise RateLimited(ceil(seconds - passed))
        key_quota.left -= 1


def is_due(key_id: str, noted_at: datetime | None, now: datetime) -> bool:
    """Should the use at `now` be written down? At most one yes a minute in this process.

    noted_at: what the row says; another process may have written.
    """
    if noted_at is not None and now - noted_at < NOTE_EVERY:
        return False
    key_quota = _quota_of(key_id)
    with key_quota.lock:
        if key_quota.noted_at is not None and now - key_quota.noted_at < NOTE_EVERY:
            return False
        key_quota.noted_at = now
    return True


def _quota_of(key_id: str) -> KeyQuota:
    key_quota = _quotas.get(key_id)
    if key_quota is None:
        if len(_quotas) >= QUOTAS_MAX:
            _quotas.clear()
        key_quota = _quotas.setdefault(key_id, KeyQuota())
    return key_quota


def _draw(name: str, maximum: int, seconds: int) -> int:
    """Take a share of the common count; returns how many uses it is good for, 0 when all are."""
    share = max(1, maximum // SHARES)
    counters = caches[settings.RATELIMIT_USE_CACHE]
    if counters.add(name, share, timeout=2 * seconds):
        total = share
    else:
        try:
            total = counters.incr(name, share)
        except ValueError:  # emptied at this very moment: the count begins anew
            total = share
    return max(0, min(share, maximum - (total - share)))
