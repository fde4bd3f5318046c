"""From one database to another, table by table; a stopped move goes on where it was.

The target keeps a note of each table in the transaction of the rows themselves, so that a kill
loses and doubles nothing. Every row counts into a sum on both sides; sums do not depend on order.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from operations.adapters import Row, Store, quoted
from operations.errors import OperationError
from operations.prepare import MOVE_TABLE
from operations.progress import Bar
from operations.tables import Table

MODULUS = 1 << 256
# The row of the note that is about the whole move.
WHOLE = ""
NOTE = (
    f"CREATE TABLE {MOVE_TABLE} (name varchar(100) PRIMARY KEY, last_key text,"
    " copied bigint NOT NULL, total varchar(64) NOT NULL, done integer NOT NULL)"
)
CHANGED = (
    "The old database has changed since this move began ({where}). "
    "Empty the new one and begin again, with the server stopped."
)


@dataclass(slots=True)
class Note:
    """How far one table is: rows copied, their sum, the last key."""

    copied: int = 0
    total: int = 0
    last_key: str | None = None
    done: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """Rows of a table and the sum of their digests."""

    count: int
    total: int


class Move:
    """One move. `stamp`: what tells the old database's state apart from another one."""

    def __init__(
        self, source: Store, target: Store, tables: Sequence[Table], stamp: dict[str, str]
    ) -> None:
        self.source, self.target, self.tables = source, target, tables
        self.stamp = json.dumps(stamp, sort_keys=True)
        self.is_resumed = False

    def begin(self, migrate: Callable[[], None]) -> None:
        """Make the target ready, or find the note of a move that was stopped.

        Raises OperationError for a target that is not empty, or a source that has changed since.
        """
        names = self.target.names()
        if names and MOVE_TABLE not in names:
            raise OperationError(
                f"The new database is not empty: it holds {len(names)} tables. Nothing was done."
            )
        if not names:
            self.target.run(NOTE)
            self._put(WHOLE, Note(last_key=self.stamp))
            self.target.commit()
        whole = self._note(WHOLE)
        if whole.last_key != self.stamp:
            raise OperationError(CHANGED.format(where="or another one was meant then"))
        self.is_resumed = whole.done
        if not whole.done:
            migrate()
            self._empty()
            whole.done = True
            self._put(WHOLE, whole)
            self.target.commit()

    def copy(self, bar: Bar) -> None:
        """Copy what is missing of every table."""
        for table in self.tables:
            note = self._note(table.name)
            bar.step(table.name, note.copied)
            if note.done:
                continue
            for batch in self.source.read(table, note.last_key):
                self.target.write(table, batch)
                _count_in(note, batch)
                note.last_key = str(batch[-1][table.key])
                self._put(table.name, note)
                self.target.commit()
                bar.step(table.name, len(batch))
            note.done = True
            self._put(table.name, note)
            self.target.commit()

    def check(self, bar: Bar) -> dict[str, int]:
        """Compare counts and sums of both sides; rows of each table. Raises OperationError.

        A move that was stopped reads the source again: it may have changed in between.
        """
        counts = {}
        for table in self.tables:
            note = self._note(table.name)
            there = tally(self.target, table, bar)
            if there != Tally(note.copied, note.total):
                raise OperationError(
                    f"The table {table.name} arrived with other rows. Begin again."
                )
            if self.is_resumed and tally(self.source, table, bar) != there:
                raise OperationError(CHANGED.format(where=table.name))
            counts[table.name] = there.count
        return counts

    def end(self) -> None:
        """Set what counts up, and take the note away: from now on it is a database of ours."""
        self.target.finish(self.tables)
        self.target.run(f"DROP TABLE {MOVE_TABLE}")
        self.target.commit()

    def _empty(self) -> None:
        """Migrations write rows of their own; those of the source take their place."""
        for table in reversed(self.tables):
            self.target.run(f"DELETE FROM {quoted(table.name)}")  # noqa: S608  # a name of ours

    def _note(self, name: str) -> Note:
        place = self.target.place
        found = self.target.run(
            f"SELECT copied, total, last_key, done FROM {MOVE_TABLE} WHERE name = {place}",  # noqa: S608
            [name],
        )
        if not found:
            return Note()
        copied, total, last_key, done = found[0]
        return Note(copied, int(total, 16), last_key, bool(done))

    def _put(self, name: str, note: Note) -> None:
        place = self.target.place
        self.target.run(
            f"INSERT INTO {MOVE_TABLE} (name, copied, total, last_key, done)"  # noqa: S608
            f" VALUES ({place}, {place}, {place}, {place}, {place}) ON CONFLICT (name) DO UPDATE"
            " SET copied = excluded.copied, total = excluded.total,"
            " last_key = excluded.last_key, done = excluded.done",
            [name, note.copied, f"{note.total:064x}", note.last_key, int(note.done)],
        )


def tally(store: Store, table: Table, bar: Bar) -> Tally:
    """Read a whole table and sum it up."""
    note = Note()
    for batch in store.read(table, None):
        _count_in(note, batch)
        bar.step(f"check {table.name}", len(batch))
    return Tally(note.copied, note.total)


def count_of(store: Store, table: Table) -> int:
    """Rows of a table."""
    return int(store.run(f"SELECT count(*) FROM {quoted(table.name)}")[0][0])  # noqa: S608


def _count_in(note: Note, rows: Sequence[Row]) -> None:
    note.copied += len(rows)
    added = sum(int.from_bytes(sha256(repr(row).encode()).digest()) for row in rows)
    note.total = (note.total + added) % MODULUS
