"""Counters of rate limits, quotas and concurrency limits; exact across any number of processes.

Each call is one atomic statement of the database (the cache `counters`). Pages are counted by
django-ratelimit in the same cache; see accounts.rate_limits.
"""

import re
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, cast

from django.core.cache import caches

from core.cache import AtomicDatabaseCache
from core.web.client_groups import Crowd, NoRoom, count_by, names_of

_SLOT = re.compile(r"([a-z0-9_:-]{1,200}\.\d{1,3})\.([0-9a-f]{32})", re.ASCII)


class Count(NamedTuple):
    """The count in the current window, this call included, and when the window ends.

    is_shared: other networks share the counter, because there are too many at once.
    """

    number: int
    ends_at: datetime
    is_shared: bool = False

    @property
    def wait_seconds(self) -> int:
        """How long until the window has ended, in whole seconds."""
        return int(self.ends_at.timestamp() - time.time()) + 1


class Slot(NamedTuple):
    """One of the slots of a concurrency limit, held until it is released or `until`.

    name: needed to release it; holds a random part, so that only its holder can.
    """

    name: str
    until: datetime


def hit(name: str, window: timedelta, *, amount: int = 1) -> Count:
    """Add `amount` to the counter of `name`. Its window begins with the first hit."""
    number, end = _store().hit(f"count:{name}", window.total_seconds(), amount)
    return Count(number, datetime.fromtimestamp(end, UTC))


def refund(name: str) -> None:
    """Take one hit() of `name` back, unless its window has ended."""
    with suppress(ValueError):
        _store().incr(f"count:{name}", -1)


def hit_first(names: Sequence[str], window: timedelta, *, origin: str) -> Count:
    """Count under the first of names_of(); while there are too many clients, under a shared one.

    origin: the client's address, "" for none.
    """
    used, count = count_by(names, lambda name: hit(name, window), origin=origin)
    return count._replace(is_shared=used != names[0])


def hit_network(name: str, address: str, window: timedelta) -> Count:
    """Like hit(), by address. Networks share a counter while there are too many at once."""
    # An IPv6 network is represented by its first address.
    first = address.partition("/")[0]
    return hit_first(names_of(name, first), window, origin=first)


def hit_if_room(name: str, window: timedelta) -> None:
    """Like hit(), but no new counter is made while there are too many networks at once."""
    with suppress(NoRoom):
        if _store().crowd() == Crowd.NONE:
            hit(name, window)
            return
        with _store().only_known():
            hit(name, window)


def count_of(name: str) -> int:
    """The count of hit() for `name` in its current window."""
    number: int = _store().get(f"count:{name}", 0)
    return number


def forget(name: str) -> None:
    """Begin the counter of hit() for `name` anew."""
    _store().delete(f"count:{name}")


def take_slot(name: str, count: int, life: timedelta) -> Slot | None:
    """Take one of `count` slots of `name` for at most `life`; None if all are taken."""
    secret = secrets.token_hex(16)
    until = datetime.now(UTC) + life
    for number in range(count):
        key = f"{name}.{number}"
        if _store().add(f"slot:{key}", secret, life.total_seconds()):
            return Slot(f"{key}.{secret}", until)
    return None


def free_slot(name: str) -> bool:
    """Release a slot; False if it was no longer held under this name."""
    match = _SLOT.fullmatch(name)
    return match is not None and _store().delete_value(f"slot:{match[1]}", match[2])


def _store() -> AtomicDatabaseCache:
    return cast("AtomicDatabaseCache", caches["counters"])
