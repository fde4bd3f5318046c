"""Counts for monitoring: plain integers of each process, in memory that one server shares.

Adding costs about half a microsecond and never waits for another process, because each process
has a column of its own. Whoever is asked for the counts adds up all columns. A column outlives its
process, so that a worker that was replaced takes no counts along. They begin anew with the server.
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
COLUMNS = 72  # WEB_WORKERS is at most 64; some more while workers are replaced
ROWS = 1024
NAME_BYTES = 120
# A column: how many rows are in use, then all values, then all names.
WORD = 8
COLUMN_BYTES = WORD + ROWS * (WORD + NAME_BYTES)
SEPARATOR = "\x1f"
# What goes up and down: it must not outlive the process that stopped in between.
HASHES_WAITING = ("hashes_waiting",)
HASHES_RUNNING = ("hashes_running",)
UP_AND_DOWN = frozenset({HASHES_WAITING, HASHES_RUNNING})


class Quick:
    """Adds to one key; to be called as its method, because calling an object takes longer."""

    __slots__ = ("key", "row", "tally", "values")

    def __init__(self, tally: "Tally", key: Key) -> None:
        self.tally, self.key, self.row = tally, key, 0
        self.values: memoryview | None = None

    def add(self) -> None:
        """One more."""
        if self.values is None:
            self.values, self.row = self.tally.place(self.key)
        self.values[self.row] += 1


class Tally:
    """The counts of one server, seen from one of its processes. Thread-safe."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._quick: list[Quick] = []
        self._leave()

    def _leave(self) -> None:
        """A child of fork() has the file in common with its parent, and a column of its own."""
        self._lock = threading.Lock()
        self._whole: mmap.mmap | None = None
        self._rows: dict[Key, int] = {}
        self._column = memoryview(b"")
        self._values = memoryview(b"").cast("q")
        for count in self._quick:
            count.values = None

    def share(self) -> None:
        """Make the common memory: before the server's processes are forked, and once."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="gatehouse-counts-")  # noqa: SIM115
            self._file.truncate(COLUMNS * COLUMN_BYTES)

    def add(self, *key: str, by: int = 1) -> None:
        """Count `key`: the name of a count and its labels. A key too many is not counted.

        No lock: the interpreter changes threads at calls and at loops, never inside the last line.
        """
        row = self._rows.get(key)
        if row is None:
            row = self._new_row(key)
        if row:
            self._values[row] += by

    def quick(self, *key: str) -> "Quick":
        """One key for where every tenth of a microsecond counts; make it once, in a module."""
        self._quick.append(Quick(self, key))
        return self._quick[-1]

    def place(self, key: Key) -> tuple[memoryview, int]:
        """Where this process counts `key`; a scratch value when there is no place."""
        row = self._rows.get(key) or self._new_row(key)
        return (self._values, row) if row else (memoryview(bytearray(WORD)).cast("q"), 0)

    def counts(self) -> Counter[Key]:
        """The sums over all processes of this server."""
        whole = self._open()
        total: Counter[Key] = Counter()
        for number in range(COLUMNS):
            column = memoryview(whole)[number * COLUMN_BYTES : (number + 1) * COLUMN_BYTES]
            values = column[: WORD * (ROWS + 1)].cast("q")
            for row in range(values[0]):
                total[_read_name(column, row)] += values[row + 1]
        return total

    def _open(self) -> mmap.mmap:
        if self._whole is None:
            self.share()
            assert self._file is not None  # noqa: S101 - share() has made it
            self._whole = mmap.mmap(self._file.fileno(), COLUMNS * COLUMN_BYTES)
        return self._whole

    def _new_row(self, key: Key) -> int:
        """The row of a key that is new to this process; 0 when there is no place."""
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
        # Readers look no further than this, so a name is whole before it is seen.
        self._values[0] = used + 1
        self._rows[key] = used + 1
        return used + 1

    def _claim(self) -> bool:
        """Take a column that no living process has; the system unlocks it when we end."""
        whole = self._open()
        for number in range(COLUMNS):
            with suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)  # type: ignore[arg-type]
                self._take(memoryview(whole)[number * COLUMN_BYTES : (number + 1) * COLUMN_BYTES])
                return True
        return False

    def _take(self, column: memoryview) -> None:
        """Go on where the process that had this column has ended."""
        self._column = column
        self._values = column[: WORD * (ROWS + 1)].cast("q")
        self._rows = {_read_name(column, row): row + 1 for row in range(self._values[0])}
        for key in UP_AND_DOWN & self._rows.keys():
            self._values[self._rows[key]] = 0


def _name_start(row: int) -> int:
    return WORD * (ROWS + 1) + row * NAME_BYTES


def _read_name(column: memoryview, row: int) -> Key:
    start = _name_start(row)
    name = bytes(column[start : start + NAME_BYTES]).rstrip(b"\0")
    return tuple(name.decode().split(SEPARATOR))


TALLY = Tally()
os.register_at_fork(after_in_child=TALLY._leave)
add = TALLY.add
