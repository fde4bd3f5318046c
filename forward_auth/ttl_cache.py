"""Values by key: bounded in number and in size, and for seconds. Threads share it without a lock.

Keys are digests or ids: whole lines of a request would be as long as their sender likes.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

LIFE_SECONDS = 5.0
# With what belongs to it an entry is about two kilobytes.
MOST = 5_000
# What a sender can make long: of one entry, and of all together. Characters of up to four bytes.
LONGEST = 2_048
MOST_WEIGHT = 2_000_000
Value = TypeVar("Value")
Clock = Callable[[], float]


@dataclass(slots=True)
class Memo(Generic[Value]):
    """Values by key. Everything is forgotten when it is full."""

    most: int = MOST
    life: float = LIFE_SECONDS
    clock: Clock = time.time
    _weight: int = 0
    _values: dict[Hashable, tuple[float, Value]] = field(default_factory=dict, repr=False)

    def get(self, key: Hashable) -> Value | None:
        """What was put under `key`, while it lives."""
        found = self._values.get(key)
        return found[1] if found is not None and found[0] > self.clock() else None

    def put(self, key: Hashable, value: Value, until: float, weight: int = 0) -> None:
        """Remember until `until` (seconds since 1970) at the latest.

        weight: how many characters of the value its sender has chosen; too many are not kept.
        """
        if weight > LONGEST:
            return
        if len(self._values) >= self.most or self._weight + weight > MOST_WEIGHT:
            self.clear()
        self._weight += weight
        soon = self.clock() + self.life
        self._values[key] = (until if until < soon else soon, value)

    def clear(self) -> None:
        self._values.clear()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._values)
