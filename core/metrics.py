"""Counters for monitoring: integers of each process, in memory that the server's processes share.

Each process writes a column of its own, so adding takes about half a microsecond and never waits
for another process. Reading adds up all columns. A column outlives its process: when a worker is
replaced, its counts stay. The counters start at zero with each start of the server.
"""

import fcntl
import mmap
import os
import tempfile
import threading
from collections import Counter
from contextlib import suppress
from typing import IO

Key = tuple[str, ...]
COLUMNS = 72  # WEB_WORKERS is at most 64; some spare ones while workers are replaced
ROWS = 1024
NAME_BYTES = 120
# A column holds the number of rows in use, then all values, then all names.
WORD = 8
COLUMN_BYTES = WORD + ROWS * (WORD + NAME_BYTES)
SEPARATOR = "\x1f"
# Gauges: they must not outlive a process that ended between the two changes.
HASHES_WAITING = ("hashes_waiting",)
HASHES_RUNNING = ("hashes_running",)
GAUGES = frozenset({HASHES_WAITING, HASHES_RUNNING})


class CounterHandle:
    """Counts one key faster than SharedCounters.add(). Keep the bound method `add`."""

    __slots__ = ("counters", "key", "row", "values")

    def __init__(self, counters: "SharedCounters", key: Key) -> None:
        self.counters, self.key, self.row = counters, key, 0
        self.values: memoryview | None = None

    def add(self) -> None:
        """Count one."""
        if self.values is None:
            self.values, self.row = self.counters.locate(self.key)
        self.values[self.row] += 1


class SharedCounters:
    """The counters of one server, as one of its processes sees them. Thread-safe."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._handles: list[CounterHandle] = []
        self._detach()

    def _detach(self) -> None:
        """A child of fork() shares the file with its parent, and claims a column of its own."""
        self._lock = threading.Lock()
        self._memory: mmap.mmap | None = None
        self._rows: dict[Key, int] = {}
        self._column = memoryview(b"")
        self._values = memoryview(b"").cast("q")
        for handle in self._handles:
            handle.values = None

    def share(self) -> None:
        """Create the shared memory. Call once, before the server forks its processes."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="gatehouse-counts-")  # noqa: SIM115
            self._file.truncate(COLUMNS * COLUMN_BYTES)

    def add(self, *key: str, by: int = 1) -> None:
        """Count `key`: the name of a counter and its labels. Ignored when the table is full.

        Needs no lock: CPython switches threads at calls and at loops, never inside the last line.
        """
        row = self._rows.get(key)
        if row is None:
            row = self._new_row(key)
        if row:
            self._values[row] += by

    def handle(self, *key: str) -> CounterHandle:
        """A faster counter of one key, for the fast path. Create it once, in a module."""
        self._handles.append(CounterHandle(self, key))
        return self._handles[-1]

    def locate(self, key: Key) -> tuple[memoryview, int]:
        """The memory and the row where this process counts `key`; scratch memory when full."""
        row = self._rows.get(key) or self._new_row(key)
        return (self._values, row) if row else (memoryview(bytearray(WORD)).cast("q"), 0)

    def counts(self) -> Counter[Key]:
        """The sums over all processes of this server."""
        memory = self._open()
        total: Counter[Key] = Counter()
        for number in range(COLUMNS):
            column = memoryview(memory)[number * COLUMN_BYTES : (number + 1) * COLUMN_BYTES]
            values = column[: WORD * (ROWS + 1)].cast("q")
            for row in range(values[0]):
                total[_read_name(column, row)] += values[row + 1]
        return total

    def _open(self) -> mmap.mmap:
        if self._memory is None:
            self.share()
            assert self._file is not None  # noqa: S101 - share() has created it
            self._memory = mmap.mmap(self._file.fileno(), COLUMNS * COLUMN_BYTES)
        return self._memory

    def _new_row(self, key: Key) -> int:
        """The row of a key that is new to this process; 0 when the table is full."""
        with self._lock:
            if not self._column and not self._claim():
                return 0
            return self._rows.get(key) or self._write_row(key)

    def _write_row(self, key: Key) -> int:
        name = SEPARATOR.join(key).encode()
        used = self._values[0]
        if used >= ROWS or len(name) > NAME_BYTES:
            return 0
        start = _name_start(used)
        self._column[start : start + len(name)] = name
        # Readers stop at this number, so they see a name only when it is complete.
        self._values[0] = used + 1
        self._rows[key] = used + 1
        return used + 1

    def _claim(self) -> bool:
        """Lock a column that no living process has; the kernel unlocks it when this one ends."""
        memory = self._open()
        for number in range(COLUMNS):
            with suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)  # type: ignore[arg-type]
                self._take(memoryview(memory)[number * COLUMN_BYTES : (number + 1) * COLUMN_BYTES])
                return True
        return False

    def _take(self, column: memoryview) -> None:
        """Continue the counts of the process that had this column before; reset its gauges."""
        self._column = column
        self._values = column[: WORD * (ROWS + 1)].cast("q")
        self._rows = {_read_name(column, row): row + 1 for row in range(self._values[0])}
        for key in GAUGES & self._rows.keys():
            self._values[self._rows[key]] = 0


def _name_start(row: int) -> int:
    return WORD * (ROWS + 1) + row * NAME_BYTES


def _read_name(column: memoryview, row: int) -> Key:
    start = _name_start(row)
    name = bytes(column[start : start + NAME_BYTES]).rstrip(b"\0")
    return tuple(name.decode().split(SEPARATOR))


COUNTERS = SharedCounters()
os.register_at_fork(after_in_child=COUNTERS._detach)
add = COUNTERS.add
