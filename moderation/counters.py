"""Counters for rate limits and concurrency limits; exact across any number of processes.

Each count is one atomic statement of the database (the cache `counters`).
"""

import re
import secrets
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol, cast

from django.core.cache import caches

from core.web.client_groups import Crowd, NoRoom, count_by, names_of

_SLOT = re.compile(r"([a-z0-9_:-]{1,200}\.\d{1,3})\.([0-9a-f]{32})", re.ASCII)


class Store(Protocol):
    """The methods of the cache `counters` that are used here; each is atomic."""

    def hit(self, key: str, seconds: float) -> tuple[int, float]: ...

    def crowd(self) -> int: ...

    def only_known(self) -> AbstractContextManager[None]: ...

    def get(self, key: str, default: int) -> int: ...

    def add(self, key: str, value: str, timeout: float) -> bool: ...

    def delete_value(self, key: str, value: str) -> bool: ...


class WindowCount(NamedTuple):
    """The count in the current window, this call included, and when the window ends.

    is_shared: other networks share the counter, because there are too many at once.
    """

    number: int
    ends_at: datetime
    is_shared: bool = False


class Slot(NamedTuple):
    """One of the slots of a concurrency limit, held until it is released or `until`.

    name: needed to release it; holds a random part, so that only its holder can.
    """

    name: str
    until: datetime


def _store() -> Store:
    return cast("Store", caches["counters"])


def hit(name: str, window: timedelta) -> WindowCount:
    """Count `name` once. A window begins with the first hit and does not slide."""
    count, end = _store().hit(f"count:{name}", window.total_seconds())
    return WindowCount(count, datetime.fromtimestamp(end, UTC))


def hit_network(name: str, address: str, window: timedelta) -> WindowCount:
    """Like hit(), by address. Networks share a counter while there are too many at once."""
    # An IPv6 network is represented by its first address.
    first = address.partition("/")[0]
    names = [f"count:{each}" for each in names_of(name, first)]
    seconds = window.total_seconds()
    used, (count, end) = count_by(names, lambda each: _store().hit(each, seconds), origin=first)
    return WindowCount(count, datetime.fromtimestamp(end, UTC), used != names[0])


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
    return _store().get(f"count:{name}", 0)


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
