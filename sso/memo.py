"""What a thread remembers of checks: bounded, for seconds, and not past any change."""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

LIFE_SECONDS = 5.0
# For each thread; with what belongs to it an entry is about two kilobytes.
MOST = 1_000
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
        self._values[key] = (min(until, self.clock() + self.life), value)

    def clear(self) -> None:
        self._values.clear()

    def __len__(self) -> int:
        return len(self._values)


class ThreadMemos(threading.local, Generic[Value]):
    """The tables of one thread: each has a connection, and so an epoch, of its own.

    good and bad apart, so that a flood of wrong credentials pushes no right one out.
    """

    def __init__(self) -> None:
        self.epoch: Hashable | None = None
        self.good: Memo[Value] = Memo()
        self.bad: Memo[Value] = Memo()

    def begin(self, epoch: Hashable | None) -> bool:
        """Forget everything unless this is the epoch of before. None is never that of before.

        Returns whether something may be remembered still.
        """
        if epoch is not None and epoch == self.epoch:
            return True
        self.epoch = epoch
        self.good.clear()
        self.bad.clear()
        return False
