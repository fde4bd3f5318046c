"""A database as rows of plain values that are the same on both sides.

A row is a tuple of None, integers, floats, bytes and texts: 32 hexadecimal digits for a UUID,
`2026-01-31 08:00:00.000000` in UTC for a moment, JSON with sorted keys, microseconds for a span.
Values go from driver to driver, past Django's fields, which would take five times as long.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import psycopg

from operations.errors import OperationError
from operations.locks import STOP_FIRST
from operations.postgres import connect
from operations.tables import Column, Table

Row = tuple[Any, ...]
BATCH = 5000
WAIT_SECONDS = 5
MOMENT_LENGTH = len("2026-01-31 08:00:00.000000")
WHOLE_SECOND = ".000000"
# PostgreSQL writes our plain form itself.
SHOWN = {
    "uuid": "replace({}::text, '-', '')",
    "moment": "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')",
    "flag": "{}::int",
    "json": "{}::text",
    "day": "to_char({}, 'YYYY-MM-DD')",
    "span": "(extract(epoch from {}) * 1000000)::bigint",
}
# The key of a row as it comes back from the note of how far a move is.
COMPARED = {"uuid": "{}::uuid", "integer": "{}::bigint", "text": '{} COLLATE "C"'}


class Store(Protocol):
    """One end of a move. `place`: the mark of a parameter in its SQL."""

    place: str

    def names(self) -> set[str]:
        """The tables that are there."""

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Run one statement of ours; its rows, if it has any."""

    def commit(self) -> None: ...

    def hold(self, tables: Sequence[Table]) -> None:
        """Let nobody else write until close(). Raises OperationError."""

    def read(self, table: Table, after: str | None) -> Iterator[list[Row]]:
        """Rows in the order of their keys, those up to the key `after` left out, in batches."""

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows; seen by others after commit()."""

    def finish(self, tables: Sequence[Table]) -> None:
        """Let keys that count up go on behind the last one; look at the sizes of all tables."""

    def close(self) -> None: ...


class SqliteStore:
    """A SQLite file. Raises OperationError when it does not open."""

    place = "?"

    def __init__(self, path: Path, *, is_new: bool = False) -> None:
        mode = "rwc" if is_new else "rw"
        address = f"file:{quote(str(path))}?mode={mode}"
        try:
            self.raw = sqlite3.connect(
                address, uri=True, timeout=WAIT_SECONDS, isolation_level=None
            )
        except sqlite3.OperationalError as error:
            raise OperationError(f"{path} does not open: {error}.") from None

    def names(self) -> set[str]:
        found = self.run("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in found if not name.startswith("sqlite_")}

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        return self.raw.execute(statement, values).fetchall()

    def commit(self) -> None:
        if self.raw.in_transaction:
            self.raw.execute("COMMIT")

    def hold(self, tables: Sequence[Table]) -> None:  # the file is one
        try:
            self.raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            raise OperationError(f"Somebody is writing to the database. {STOP_FIRST}") from None

    def read(self, table: Table, after: str | None) -> Iterator[list[Row]]:
        columns = ", ".join(quoted(column.name) for column in table.columns)
        key = quoted(table.key_column.name)
        statement = f"SELECT {columns} FROM {quoted(table.name)}"  # noqa: S608  # names of ours
        values: list[Any] = []
        if after is not None:
            statement += f" WHERE {key} > ?"
            values.append(int(after) if table.key_column.kind == "integer" else after)
        cursor = self.raw.execute(f"{statement} ORDER BY {key}", values)
        readers = _conversions(table, READERS)
        while batch := cursor.fetchmany(BATCH):
            yield [_converted(row, readers) for row in batch]

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        if not self.raw.in_transaction:
            self.raw.execute("BEGIN IMMEDIATE")
        columns = ", ".join(quoted(column.name) for column in table.columns)
        places = ", ".join("?" * len(table.columns))
        writers = _conversions(table, WRITERS)
        self.raw.executemany(
            f"INSERT INTO {quoted(table.name)} ({columns}) VALUES ({places})",  # noqa: S608
            (_converted(row, writers) for row in rows),
        )

    def finish(self, tables: Sequence[Table]) -> None:  # it counts by itself
        self.raw.execute("ANALYZE")

    def close(self) -> None:
        self.raw.close()


class PostgresStore:
    """A PostgreSQL database, by Django's settings of it. Raises OperationError."""

    place = "%s"

    def __init__(self, place: dict[str, Any]) -> None:
        self.raw = connect(place)
        self.raw.execute("SET TIME ZONE 'UTC'")
        self.raw.execute(f"SET lock_timeout = '{WAIT_SECONDS}s'")
        self.raw.commit()

    def names(self) -> set[str]:
        found = self.run("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        return {name for (name,) in found}

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        cursor = self.raw.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []

    def commit(self) -> None:
        self.raw.commit()

    def hold(self, tables: Sequence[Table]) -> None:
        names = ", ".join(quoted(table.name) for table in tables)
        self.raw.rollback()
        self.raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        try:
            self.run(f"LOCK TABLE {names} IN SHARE MODE")
        except psycopg.errors.LockNotAvailable:
            raise OperationError(f"Somebody is writing to the database. {STOP_FIRST}") from None

    def read(self, table: Table, after: str | None) -> Iterator[list[Row]]:
        key = _comparable(quoted(table.key_column.name), table, is_column=True)
        shown = ", ".join(_shown(column) for column in table.columns)
        statement = f"SELECT {shown} FROM {quoted(table.name)}"  # noqa: S608  # names of ours
        values = []
        if after is not None:
            statement += f" WHERE {key} > {_comparable('%s', table)}"
            values.append(after)
        readers = {
            place: normal_json
            for place, column in enumerate(table.columns)
            if column.kind == "json"
        }
        with self.raw.cursor(name="gatehouse_move") as cursor:
            cursor.itersize = BATCH
            cursor.execute(f"{statement} ORDER BY {key}", values)
            while batch := cursor.fetchmany(BATCH):
                yield [_converted(row, readers) for row in batch]

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        columns = ", ".join(quoted(column.name) for column in table.columns)
        writers = {
            place: _interval for place, column in enumerate(table.columns) if column.kind == "span"
        }
        statement = f"COPY {quoted(table.name)} ({columns}) FROM STDIN"
        with self.raw.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(_converted(row, writers))

    def finish(self, tables: Sequence[Table]) -> None:
        for table in (table for table in tables if table.counts_up):
            name, key = quoted(table.name), table.key_column.name
            last = f"(SELECT max({quoted(key)}) FROM {name})"  # noqa: S608  # names of ours
            self.run(
                "SELECT setval(pg_get_serial_sequence(%s, %s),"
                f" coalesce({last}, 1), {last} IS NOT NULL)",
                [name, key],
            )
        self.commit()
        self.raw.autocommit = True
        self.run("ANALYZE")
        self.raw.autocommit = False

    def close(self) -> None:
        self.raw.close()


def store_of(place: dict[str, Any], *, is_new: bool = False) -> SqliteStore | PostgresStore:
    """The store that Django's settings of a database name."""
    if place["ENGINE"].endswith("sqlite3"):
        return SqliteStore(Path(place["NAME"]), is_new=is_new)
    return PostgresStore(place)


def quoted(name: str) -> str:
    """A name of ours as both databases take it."""
    return f'"{name}"'


def normal_json(text: str) -> str:
    """The one spelling of a JSON value: PostgreSQL sorts keys and forgets blanks."""
    return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def normal_moment(text: str) -> str:
    """A moment of SQLite with its six digits, which Django leaves out at whole seconds."""
    if len(text) == MOMENT_LENGTH:
        return text
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(" ", "microseconds")


def stored_moment(text: str) -> str:
    """A moment as Django writes it to SQLite, where moments are compared as texts."""
    return text.removesuffix(WHOLE_SECOND)


Conversion = Callable[[Any], Any]
READERS: dict[str, Conversion] = {"moment": normal_moment, "json": normal_json, "uuid": str.lower}
WRITERS: dict[str, Conversion] = {"moment": stored_moment}


def _conversions(table: Table, by_kind: dict[str, Conversion]) -> dict[int, Conversion]:
    """For each place of a row that needs it, what makes one form of the other."""
    return {
        place: by_kind[column.kind]
        for place, column in enumerate(table.columns)
        if column.kind in by_kind
    }


def _converted(row: Row, conversions: Mapping[int, Conversion]) -> Row:
    if not conversions:
        return tuple(row)
    values = list(row)
    for place, convert in conversions.items():
        if values[place] is not None:
            values[place] = convert(values[place])
    return tuple(values)


def _shown(column: Column) -> str:
    return SHOWN.get(column.kind, "{}").format(quoted(column.name))


def _comparable(text: str, table: Table, *, is_column: bool = False) -> str:
    """The key as it is compared: texts by their bytes, as SQLite does."""
    kind = table.key_column.kind
    return text if is_column and kind != "text" else COMPARED[kind].format(text)


def _interval(microseconds: int) -> str:
    return f"{microseconds} microseconds"
