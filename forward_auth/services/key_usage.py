"""Uses of API keys in checks, which the worker writes in batches.

No check waits for the disk. A crash loses the uses of the last two seconds.
"""

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from api.apikeys import quota, sql
from api.models import ApiKey
from core.locks import hold_free

MAX_WAITING = 10_000
NOTE_SECONDS = quota.NOTE_EVERY.total_seconds()


@dataclass(slots=True)
class _Waiting:
    """The last use of each key that is not written yet: when, and from which address."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    uses: dict[str, tuple[datetime, str]] = field(default_factory=dict)


_waiting = _Waiting()


def note_use(key_id: str, ip: str, noted_at: float | None) -> None:
    """Note that a client at `ip` used the key, at most once a minute for each key.

    noted_at: the last use according to its row, in seconds since 1970.
    """
    # Like is_due(), but cheaper: nearly every check returns here.
    if noted_at is not None and time.time() - noted_at < NOTE_SECONDS:
        return
    now = timezone.now()
    if not quota.is_due(key_id, None, now):
        return
    with _waiting.lock:
        if len(_waiting.uses) < MAX_WAITING:
            _waiting.uses[key_id] = (now, ip)


def write_notes() -> int:
    """Worker job: write the uses; returns the number of keys.

    It waits for no lock: a key that is being changed is written the next time.
    """
    with _waiting.lock:
        uses, _waiting.uses = _waiting.uses, {}
    if not uses:
        return 0
    with transaction.atomic():
        known = ApiKey.objects.filter(pk__in=uses)
        free = set(hold_free(known, len(uses)))
        busy = set(known.exclude(pk__in=free).values_list("pk", flat=True))
        for key_id in free:
            at, ip = uses[key_id]
            sql.note_use(ApiKey(pk=key_id), ip, at)
    with _waiting.lock:
        for key_id in busy:
            _waiting.uses.setdefault(key_id, uses[key_id])
    return len(free)
