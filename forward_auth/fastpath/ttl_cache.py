"""A small in-process cache: bounded in entries and size, with a time to live.

Threads share it without a lock. Keys are digests or ids, because whole header lines could be as
long as their sender likes.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

TTL_SECONDS = 5.0
# An entry takes about two kilobytes.
MAX_ENTRIES = 5_000
# Limits for what a sender can make long, in characters of up to four bytes each: for one entry, and
# for all entries together.
MAX_WEIGHT = 2_048
MAX_TOTAL_WEIGHT = 2_000_000
Value = TypeVar("Value")
Clock = Callable[[], float]


@dataclass(slots=True)
class TTLCache(Generic[Value]):
    """Values by key. A full cache drops all its entries."""

    max_entries: int = MAX_ENTRIES
    ttl: float = TTL_SECONDS
    clock: Clock = time.time
    _weight: int = 0
    _values: dict[Hashable, tuple[float, Value]] = field(default_factory=dict, repr=False)

    def get(self, key: Hashable) -> Value | None:
        """Return the value of `key`, or None when there is none or it has expired."""
        found = self._values.get(key)
        return found[1] if found is not None and found[0] > self.clock() else None

    def put(self, key: Hashable, value: Value, until: float, weight: int = 0) -> None:
        """Store `value` until `until` (seconds since 1970) or for `ttl`, whichever is shorter.

        weight: the number of characters of the value that its sender chose. A value of more than
        MAX_WEIGHT is not stored.
        """
        if weight > MAX_WEIGHT:
            return
        if len(self._values) >= self.max_entries or self._weight + weight > MAX_TOTAL_WEIGHT:
            self.clear()
        self._weight += weight
        soon = self.clock() + self.ttl
        self._values[key] = (until if until < soon else soon, value)

    def clear(self) -> None:
        self._values.clear()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._values)
