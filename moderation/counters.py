"""Counting what may be done only so often or so much at once; exact over any number of processes.

Everything is counted by single statements of the database (the cache `counters`), never in Redis:
what Redis forgets or holds back must not open a limit.
"""

import re
import secrets
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol, cast

from django.core.cache import caches

from accounts.crowds import Crowd, NoRoom, count_by, names_of

_SLOT = re.compile(r"([a-z0-9_:-]{1,200}\.\d{1,3})\.([0-9a-f]{32})", re.ASCII)


class Store(Protocol):
    """The acts of the cache `counters` that are needed here; each is atomic."""

    def hit(self, key: str, seconds: float) -> tuple[int, float]: ...

    def crowd(self) -> int: ...

    def only_known(self) -> AbstractContextManager[None]: ...

    def get(self, key: str, default: int) -> int: ...

    def add(self, key: str, value: str, timeout: float) -> bool: ...

    def delete_value(self, key: str, value: str) -> bool: ...


class Tally(NamedTuple):
    """How often in the present window, this time included, and when that window ends.

    is_shared: others are counted with it, because too many networks come at once.
    """

    number: int
    ends_at: datetime
    is_shared: bool = False


class Slot(NamedTuple):
    """One of the places for what goes on at once, held until it is given back or `until`.

    name: what whoever holds it gives it back by; holds a random part, so that only he can.
    """

    name: str
    until: datetime


def _store() -> Store:
    return cast("Store", caches["counters"])


def hit(name: str, window: timedelta) -> Tally:
    """Count one more of `name`. The window begins with the first one and does not slide."""
    count, end = _store().hit(f"count:{name}", window.total_seconds())
    return Tally(count, datetime.fromtimestamp(end, UTC))


def hit_network(name: str, address: str, window: timedelta) -> Tally:
    """As hit(), of `name` from `address`. Networks share a counter while too many come at once."""
    # An IPv6 network stands for its first address.
    first = address.partition("/")[0]
    names = [f"count:{each}" for each in names_of(name, first)]
    seconds = window.total_seconds()
    used, (count, end) = count_by(names, lambda each: _store().hit(each, seconds), origin=first)
    return Tally(count, datetime.fromtimestamp(end, UTC), used != names[0])


def hit_if_room(name: str, window: timedelta) -> None:
    """As hit(), but nothing new is counted while too many networks come at once."""
    with suppress(NoRoom):
        if _store().crowd() == Crowd.NONE:
            hit(name, window)
            return
        with _store().only_known():
            hit(name, window)


def count_of(name: str) -> int:
    """How often hit() has counted `name` in its present window."""
    return _store().get(f"count:{name}", 0)


def take_slot(name: str, places: int, life: timedelta) -> Slot | None:
    """One of `places` places of `name` for at most `life`; None when all are taken."""
    mark = secrets.token_hex(16)
    until = datetime.now(UTC) + life
    for place in range(places):
        key = f"{name}.{place}"
        if _store().add(f"slot:{key}", mark, life.total_seconds()):
            return Slot(f"{key}.{mark}", until)
    return None


def free_slot(name: str) -> bool:
    """Give a place back; False when nobody held it by this name any more."""
    match = _SLOT.fullmatch(name)
    return match is not None and _store().delete_value(f"slot:{match[1]}", match[2])
