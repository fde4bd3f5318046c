"""Values by key: bounded, and for seconds. Threads share it without a lock."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

LIFE_SECONDS = 5.0
# With what belongs to it an entry is about two kilobytes.
MOST = 5_000
Value = TypeVar("Value")
Clock = Callable[[], float]


@dataclass(slots=True)
class Memo(Generic[Value]):
    """Values by key. Everything is forgotten when it is full."""

    most: int = MOST
    life: float = LIFE_SECONDS
    clock: Clock = time.time
    _values: dict[Hashable, tuple[float, Value]] = field(default_factory=dict, repr=False)

    def get(self, key: Hashable) -> Value | None:
        """What was put under `key`, while it lives."""
        found = self._values.get(key)
        return found[1] if found is not None and found[0] > self.clock() else None

    def put(self, key: Hashable, value: Value, until: float) -> None:
        """Remember until `until` (seconds since 1970) at the latest."""
        if len(self._values) >= self.most:
            self._values.clear()
        soon = self.clock() + self.life
        self._values[key] = (until if until < soon else soon, value)

    def clear(self) -> None:
        self._values.clear()

    def __len__(self) -> int:
        return len(self._values)
