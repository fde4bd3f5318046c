"""Adapters that read and write a SQLite or PostgreSQL database as rows in one common format.

A row is a tuple of None, integers, floats, bytes and strings: 32 hexadecimal digits for a UUID,
`2026-01-31 08:00:00.000000` in UTC for a datetime, JSON with sorted keys, microseconds for a
duration. Values bypass Django's fields, which would take five times as long.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from operations.errors import OperationError
from operations.locks import STOP_FIRST
from operations.postgres import connect
from operations.tables import Column, Table

Row = tuple[Any, ...]
Conversion = Callable[[Any], Any]
Conversions = Mapping[str, Conversion]
BATCH = 5000
WAIT_SECONDS = 5
DATETIME_LENGTH = len("2026-01-31 08:00:00.000000")
WHOLE_SECOND = ".000000"
# SQL that makes PostgreSQL return the common format.
SHOWN = {
    "uuid": "replace({}::text, '-', '')",
    "datetime": "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')",
    "boolean": "{}::int",
    "json": "{}::text",
    "date": "to_char({}, 'YYYY-MM-DD')",
    "duration": "(extract(epoch from {}) * 1000000)::bigint",
}
# SQL that compares a key with the last key in the progress table.
COMPARED = {"uuid": "{}::uuid", "integer": "{}::bigint", "text": '{} COLLATE "C"'}


class SqliteStore:
    """A SQLite file. Raises OperationError if it cannot be opened.

    PostgresStore has the same methods. placeholder: marks a parameter in SQL.
    """

    placeholder = "?"

    def __init__(self, path: Path, *, is_new: bool = False) -> None:
        mode = "rwc" if is_new else "rw"
        address = f"file:{quote(str(path))}?mode={mode}"
        try:
            self.raw = sqlite3.connect(
                address, uri=True, timeout=WAIT_SECONDS, isolation_level=None
            )
        except sqlite3.OperationalError as error:
            raise OperationError(f"{path} cannot be opened: {error}.") from None

    def names(self) -> set[str]:
        """The names of the existing tables."""
        found = self.run("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in found if not name.startswith("sqlite_")}

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Run one statement; returns its rows, if any."""
        return self.raw.execute(statement, values).fetchall()

    def commit(self) -> None:
        if self.raw.in_transaction:
            self.raw.execute("COMMIT")

    def hold(self, tables: Sequence[Table]) -> None:  # locks the whole file
        """Block other writers until close(). Raises OperationError."""
        try:
            self.raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            raise OperationError(
                f"Another program is writing to the database. {STOP_FIRST}"
            ) from None

    def read(self, table: Table, after: str | None) -> Iterator[list[Row]]:
        """Yield rows in batches, in the order of their keys, after the key `after`."""
        columns = ", ".join(quoted(column.name) for column in table.columns)
        key = quoted(table.key_column.name)
        statement = f"SELECT {columns} FROM {quoted(table.name)}"  # noqa: S608  # our own names
        values: list[Any] = []
        if after is not None:
            statement += f" WHERE {key} > ?"
            values.append(int(after) if table.key_column.kind == "integer" else after)
        cursor = self.raw.execute(f"{statement} ORDER BY {key}", values)
        readers = _conversions(table, SQLITE_READERS)
        while batch := cursor.fetchmany(BATCH):
            yield [_converted(row, readers) for row in batch]

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        """Insert rows; visible to others after commit()."""
        if not self.raw.in_transaction:
            self.raw.execute("BEGIN IMMEDIATE")
        columns = ", ".join(quoted(column.name) for column in table.columns)
        placeholders = ", ".join("?" * len(table.columns))
        writers = _conversions(table, SQLITE_WRITERS)
        self.raw.executemany(
            f"INSERT INTO {quoted(table.name)} ({columns}) VALUES ({placeholders})",  # noqa: S608
            (_converted(row, writers) for row in rows),
        )

    def finish(self, tables: Sequence[Table]) -> None:  # SQLite needs no sequences
        """Set sequences to the last key, and update the planner's statistics."""
        self.raw.execute("ANALYZE")

    def close(self) -> None:
        self.raw.close()


class PostgresStore:
    """A PostgreSQL database. settings_dict: Django's settings of it. Raises OperationError."""

    placeholder = "%s"

    def __init__(self, settings_dict: dict[str, Any]) -> None:
        self.raw = connect(settings_dict)
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
            raise OperationError(
                f"Another program is writing to the database. {STOP_FIRST}"
            ) from None

    def read(self, table: Table, after: str | None) -> Iterator[list[Row]]:
        key = _comparable(quoted(table.key_column.name), table, is_column=True)
        shown = ", ".join(_shown(column) for column in table.columns)
        statement = f"SELECT {shown} FROM {quoted(table.name)}"  # noqa: S608  # our own names
        values = []
        if after is not None:
            statement += f" WHERE {key} > {_comparable('%s', table)}"
            values.append(after)
        readers = _conversions(table, POSTGRES_READERS)
        with self.raw.cursor(name="gatehouse_transfer") as cursor:
            cursor.itersize = BATCH
            cursor.execute(f"{statement} ORDER BY {key}", values)
            while batch := cursor.fetchmany(BATCH):
                yield [_converted(row, readers) for row in batch]

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        columns = ", ".join(quoted(column.name) for column in table.columns)
        writers = _conversions(table, POSTGRES_WRITERS)
        statement = f"COPY {quoted(table.name)} ({columns}) FROM STDIN"
        with self.raw.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(_converted(row, writers))

    def finish(self, tables: Sequence[Table]) -> None:
        for table in (table for table in tables if table.has_sequence):
            name, key = quoted(table.name), table.key_column.name
            last = f"(SELECT max({quoted(key)}) FROM {name})"  # noqa: S608  # our own names
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


Store = SqliteStore | PostgresStore


def open_store(settings_dict: dict[str, Any], *, is_new: bool = False) -> Store:
    """Open the database of these Django settings. Raises OperationError."""
    if settings_dict["ENGINE"].endswith("sqlite3"):
        return SqliteStore(Path(settings_dict["NAME"]), is_new=is_new)
    return PostgresStore(settings_dict)


def quoted(name: str) -> str:
    """A table or column name, quoted for both databases."""
    return f'"{name}"'


def normal_json(text: str) -> str:
    """The common format of JSON. PostgreSQL itself reorders keys and drops white space."""
    return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def normal_datetime(text: str) -> str:
    """A datetime of SQLite with microseconds, which Django omits for whole seconds."""
    if len(text) == DATETIME_LENGTH:
        return text
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(" ", "microseconds")


def stored_datetime(text: str) -> str:
    """A datetime as Django writes it to SQLite, which compares datetimes as strings."""
    return text.removesuffix(WHOLE_SECOND)


def _conversions(table: Table, by_kind: Conversions) -> dict[int, Conversion]:
    """By index, the conversion of each column that needs one."""
    return {
        index: by_kind[column.kind]
        for index, column in enumerate(table.columns)
        if column.kind in by_kind
    }


def _converted(row: Row, conversions: Mapping[int, Conversion]) -> Row:
    if not conversions:
        return tuple(row)
    values = list(row)
    for index, convert in conversions.items():
        if values[index] is not None:
            values[index] = convert(values[index])
    return tuple(values)


def _shown(column: Column) -> str:
    return SHOWN.get(column.kind, "{}").format(quoted(column.name))


def _comparable(text: str, table: Table, *, is_column: bool = False) -> str:
    """The SQL that compares a key: strings by their bytes, as in SQLite."""
    kind = table.key_column.kind
    return text if is_column and kind != "text" else COMPARED[kind].format(text)


def _duration(microseconds: int) -> str:
    return f"{microseconds} microseconds"


# The conversions between each database and the common format, by the kind of the column.
SQLITE_READERS: Conversions = {"datetime": normal_datetime, "json": normal_json, "uuid": str.lower}
SQLITE_WRITERS: Conversions = {"datetime": stored_datetime}
POSTGRES_READERS: Conversions = {"json": normal_json}
POSTGRES_WRITERS: Conversions = {"duration": _duration}
