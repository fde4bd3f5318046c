"""Uses of API keys that checks have seen, written down in batches by the worker.

A check waits for no disk; a crash loses the notes of the last two seconds.
"""

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from accounts.locks import hold_free
from api import keymeter, keyrows
from api.models import ApiKey

MOST_WAITING = 10_000
NOTE_SECONDS = keymeter.NOTE_EVERY.total_seconds()


@dataclass(slots=True)
class _Waiting:
    """When and from where each key was used last, as far as it is not written yet."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    uses: dict[str, tuple[datetime, str]] = field(default_factory=dict)


_waiting = _Waiting()


def note_use(key_id: str, ip: str, noted_at: float | None) -> None:
    """The key was used by a client at `ip`; at most one note a minute is kept of each.

    noted_at: what its row says, in seconds since 1970, by this process or another.
    """
    # As is_due() has it, before anything is made of the time: nearly every check ends here.
    if noted_at is not None and time.time() - noted_at < NOTE_SECONDS:
        return
    now = timezone.now()
    if not keymeter.is_due(key_id, None, now):
        return
    with _waiting.lock:
        if len(_waiting.uses) < MOST_WAITING:
            _waiting.uses[key_id] = (now, ip)


def write_notes() -> int:
    """Worker job: write what waits; returns how many keys.

    Whoever changes a key at this moment is not waited for: its note is written the next time.
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
            keyrows.note_use(ApiKey(pk=key_id), ip, at)
    with _waiting.lock:
        for key_id in busy:
            _waiting.uses.setdefault(key_id, uses[key_id])
    return len(free)
