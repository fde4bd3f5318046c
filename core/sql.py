"""Prepared SQL for the busiest tables: one row by a unique column, plain inserts and updates.

Django builds the SQL text anew for each call, which takes several times as long as the database
needs. Here it is built once for each table. Values are converted as the model fields do it; see
core.sql_values. No signals are sent, and Model.save() is not called.

In SQLite, statements go to the connection itself, because Django's cursor takes longer than the
database. Where somebody watches statements (execute_wrapper(), a log of queries), it is used.
"""

import sqlite3
from asyncio import _get_running_loop
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache, lru_cache
from itertools import groupby
from typing import Any, TypeVar

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections, models, router
from django.db.models.base import ModelState
from django.db.models.signals import post_init, pre_init

from core.invalidation.data_version import opened
from core.row_cache import rows_here
from core.sql_values import prepared, readers_of, writers_of

Row = TypeVar("Row", bound=models.Model)
CACHED_ROWS = 1024
_MISSING: Any = object()
# The smallest step of the times that the databases store.
TICK = timedelta(microseconds=1)


def find(model: type[Row], column: str, value: Any) -> Row | None:
    """The row whose unique `column` (a name from our code, never input) is `value`, or None."""
    values = _query(model, column).fetch_one(value)
    return None if values is None else instance(model, values)


def has_row(model: type[models.Model], column: str, value: Any) -> bool:
    """Whether any row has this value in `column` (a name from our code, never input)."""
    by = model._meta.get_field(column)
    connection = connections[_alias(model)]
    with connection.cursor() as cursor:
        parameters = [by.get_db_prep_value(value, connection)]  # type: ignore[union-attr]
        cursor.execute(_any_row(model, column), parameters)
        return cursor.fetchone() is not None


def find_by(model: type[Row], **values: Any) -> Row | None:
    """See find(); the row with these values in columns that are unique together."""
    found = _query(model, *values).fetch_one(*values.values())
    return None if found is None else instance(model, found)


class PreparedRowQuery:
    """Reads one row of joined tables by some columns, with a statement that is built once.

    fields: the columns of the row that fetch_one() returns. source: everything from FROM on; its
    parameters are the values of `by`, a field or several. more: further columns as SQL, returned as
    the database has them. Names come from our code, never from input.
    """

    def __init__(self, fields: Sequence[Any], source: str, by: Any, *more: str) -> None:
        self.fields, self.by = tuple(fields), by if isinstance(by, tuple) else (by,)
        columns = [
            f"{_quoted(field.model._meta.db_table)}.{_quoted(field.column)}" for field in fields
        ]
        self.statement = f"SELECT {', '.join((*columns, *more))} {source}"
        # A plus removes the declared type, and so a call of a converter for each value.
        plain = [f"+{column}" for column in columns]
        self._sqlite = f"SELECT {', '.join((*plain, *more))} {source}"
        self._parts: dict[str, list[_Part]] = {}
        models_read = {field.model for field in (*self.by, *self.fields)}
        self._is_watched = {model._meta.label for model in models_read} <= {
            *settings.WATCHED_MODELS
        }

    def fetch_one(self, *values: Any) -> tuple[Any, ...] | None:
        """The row as Python values, or None. Inside reuse_rows() one that was read before may do.

        Then all tables of `source` have to be watched, also those without a column in `fields`.
        """
        using = _alias(self.by[0].model)
        rows = rows_here() if self._is_watched and using == DEFAULT_DB_ALIAS else None
        if rows is None:
            return self._fetch_one(values, using)
        key = (self.statement, *values)
        found: tuple[Any, ...] | None = rows.get(key, _MISSING)
        if found is _MISSING:
            found = rows[key] = self._fetch_one(values, using)
        return found

    def _fetch_one(self, values: tuple[Any, ...], using: str) -> tuple[Any, ...] | None:
        connection = _connection(using)
        given = [
            prepared(field, value, connection) for field, value in zip(self.by, values, strict=True)
        ]
        statement = self._sqlite if connection.vendor == "sqlite" else self.statement
        found = _fetch(connection, statement, given)
        return None if found is None else self._convert(tuple(found), connection)

    def _convert(self, found: tuple[Any, ...], connection: Any) -> tuple[Any, ...]:
        parts = self._parts.get(connection.alias)
        if parts is None:
            parts = self._parts[connection.alias] = _parts(self.fields, connection)
        values: list[Any] = []
        for part in parts:
            values += part.convert(found[part.start : part.end])
        values += found[len(self.fields) :]
        return tuple(values)


class _Part:
    """Neighbouring columns of one table. A busy row is read again and again as it was."""

    def __init__(self, start: int, fields: Sequence[Any], connection: Any) -> None:
        self.start, self.end = start, start + len(fields)
        self._readers = readers_of(fields, connection)
        self.convert: Callable[[tuple[Any, ...]], tuple[Any, ...]]
        self.convert = lru_cache(maxsize=CACHED_ROWS)(self._convert)

    def _convert(self, found: tuple[Any, ...]) -> tuple[Any, ...]:
        values = list(found)
        for index, read in self._readers:
            if values[index] is not None:
                value = read(values[index])
                # Cached values are shared, so none of them may be mutable.
                values[index] = tuple(value) if type(value) is list else value
        return tuple(values)


def _parts(fields: Sequence[Any], connection: Any) -> list[_Part]:
    parts: list[_Part] = []
    start = 0
    for _model, group in groupby(fields, key=lambda field: field.model):
        parts.append(_Part(start, tuple(group), connection))
        start = parts[-1].end
    return parts


@cache
def columns_of(model: type[models.Model]) -> tuple[Any, ...]:
    """The fields that are written; the database computes the generated ones."""
    return tuple(field for field in model._meta.concrete_fields if not field.generated)


def instance(model: type[Row], values: Sequence[Any]) -> Row:
    """The row of `model` with these values, one for each of columns_of(model), as from_db() does.

    A model with a from_db() of its own does what that does in `after_load()`, or is made by it.
    """
    using = _alias(model)
    if not _is_plain(model) or _is_heard(model):
        return model.from_db(using, _names(model), list(values))
    row = model.__new__(model)
    row.__dict__.update(zip(_names(model), values, strict=True))
    row._state = state = ModelState()
    state.adding, state.db = False, using
    after_load = getattr(row, "after_load", None)
    if after_load is not None:
        after_load()
    return row


def fetch(statement: str, *parameters: Any) -> Any:
    """The first row of the default database that the statement of ours returns, or None."""
    return _fetch(_connection(DEFAULT_DB_ALIAS), statement, parameters)


def write(statement: str, *parameters: Any) -> int:
    """How many rows of the default database the statement of ours has written."""
    return _write(_connection(DEFAULT_DB_ALIAS), statement, parameters)


def relate(row: models.Model, **related: models.Model) -> None:
    """Let `row` know the rows that it refers to, which were read with it."""
    row._state.fields_cache.update(related)


def change(statement: str, model: type[models.Model], **values: Any) -> bool:
    """Run a conditional UPDATE whose parameters are these columns in order; True: a row changed."""
    connection = _connection(_alias(model, is_write=True))
    parameters = [
        prepared(model._meta.get_field(name), value, connection) for name, value in values.items()
    ]
    return bool(_write(connection, statement, parameters))


def change_and_read(statement: str, model: type[Row], **values: Any) -> Row | None:
    """change() of at most one row, which is returned as it is then."""
    using = _alias(model, is_write=True)
    connection = _connection(using)
    parameters = [
        prepared(model._meta.get_field(name), value, connection) for name, value in values.items()
    ]
    found = _fetch(connection, _returning(statement, model, connection.vendor), parameters)
    return None if found is None else instance(model, _part_of(model, using).convert(tuple(found)))


def new_row(model: type[Row], **values: Any) -> Row:
    """A row that is not stored yet, as model(**values) makes it. values: by names of attributes.

    Without the signals of models, and without a look at related rows; for insert().
    """
    if not _is_plain(model) or _is_heard(model):
        return model(**values)
    row = model.__new__(model)
    content = row.__dict__
    for name, default in _defaults(model):
        content[name] = values[name] if name in values else default()
    if not values.keys() <= content.keys():
        raise TypeError(f"{model.__name__} has not all of {', '.join(values)}")
    row._state = ModelState()
    return row


def insert(rows: Sequence[models.Model]) -> None:
    """Insert new rows of one table, with their primary keys set. Raises IntegrityError."""
    if not rows:
        return
    model = type(rows[0])
    using = _alias(model, is_write=True)
    connection = _connection(using)
    values = [_stored_values(row, model, connection) for row in rows]
    if len(values) == 1:
        _write(connection, _insert(model), values[0])
    else:
        with connection.cursor() as cursor:
            cursor.executemany(_insert(model), values)
    for row in rows:
        row._state.adding, row._state.db = False, using


def update(row: models.Model, *names: str) -> bool:
    """Write these fields of an existing row. Returns False when the row is gone."""
    model = row._meta.model  # not type(row): request.user is a proxy
    connection = _connection(_alias(model, is_write=True))
    fields = [model._meta.get_field(name) for name in names]
    values = [
        prepared(field, getattr(row, field.attname), connection)  # type: ignore[union-attr]
        for field in (*fields, model._meta.pk)
    ]
    return bool(_write(connection, _update(model, names), values))


def newest(rows: models.QuerySet[Any], after: datetime) -> datetime | None:
    """`created_at` of the newest row after `after`, as another node with a fast clock writes it."""
    later = rows.filter(created_at__gt=after)
    found: datetime | None = later.aggregate(newest=models.Max("created_at"))["newest"]
    return found


def next_monotonic_time(now: datetime, *moments: datetime | None) -> datetime:
    """`now`, or the first moment after all `moments` when the clock went back."""
    return max([now, *(moment + TICK for moment in moments if moment is not None)])


def _alias(model: type[models.Model], *, is_write: bool = False) -> str:
    """The database of a model, as the routers say."""
    routers = router.routers
    if len(routers) == 1 and getattr(routers[0], "decides_by_model", False):
        return _alias_of(model)
    return router.db_for_write(model) if is_write else router.db_for_read(model)


@cache
def _alias_of(model: type[models.Model]) -> str:
    return router.db_for_read(model)


def _connection(using: str) -> Any:
    return opened() if using == DEFAULT_DB_ALIAS else connections[using]


def _fetch(connection: Any, statement: str, parameters: Sequence[Any]) -> Any:
    """The first row that the statement returns, or None."""
    if _is_direct(connection):
        try:
            return connection.connection.execute(_for_sqlite(statement), parameters).fetchone()
        except sqlite3.Error:
            with connection.wrap_database_errors:
                raise
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return cursor.fetchone()


def _write(connection: Any, statement: str, parameters: Sequence[Any]) -> int:
    """How many rows the statement has written."""
    if _is_direct(connection):
        try:
            return int(connection.connection.execute(_for_sqlite(statement), parameters).rowcount)
        except sqlite3.Error:
            with connection.wrap_database_errors:
                raise
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return int(cursor.rowcount)


def _is_direct(connection: Any) -> bool:
    """Whether Django's cursor would do nothing for a statement but pass it on."""
    return (
        isinstance(connection.connection, sqlite3.Connection)
        and not connection.execute_wrappers
        and not connection.needs_rollback
        and not connection.force_debug_cursor
        and not _is_debug()
        and _get_running_loop() is None
    )


@cache
def _is_debug() -> bool:
    """Whether Django keeps all statements."""
    return bool(settings.DEBUG)


@cache
def _for_sqlite(statement: str) -> str:
    """Ours contain no percent sign but those of parameters."""
    return statement.replace("%s", "?")


def _is_heard(model: type[models.Model]) -> bool:
    """Whether somebody wants to know of each row."""
    if not pre_init.receivers and not post_init.receivers:
        return False
    return pre_init.has_listeners(model) or post_init.has_listeners(model)


def _stored_values(row: models.Model, model: type[models.Model], connection: Any) -> list[Any]:
    content, values = row.__dict__, []
    for name, writers, field in _plan(model, connection.vendor):
        value = content[name] if name in content else getattr(row, name)
        write = writers.get(type(value))
        stored = None if write is None else write(value)
        if stored is None and (value is not None or not writers):
            stored = prepared(field, value, connection)
        values.append(stored)
    return values


@cache
def _plan(
    model: type[models.Model], _vendor: str
) -> tuple[tuple[str, dict[type[Any], Callable[[Any], Any]], Any], ...]:
    """(attribute, functions of writers_of(), field) of each column."""
    connection = _connection(_alias(model, is_write=True))
    return tuple(
        (field.attname, writers_of(field, connection), field) for field in columns_of(model)
    )


@cache
def _returning(statement: str, model: type[models.Model], vendor: str) -> str:
    sign = "+" if vendor == "sqlite" else ""  # see PreparedRowQuery
    names = ", ".join(f"{sign}{_quoted(str(field.column))}" for field in columns_of(model))
    return f"{statement} RETURNING {names}"


@cache
def _part_of(model: type[models.Model], using: str) -> _Part:
    return _Part(0, columns_of(model), _connection(using))


@cache
def _defaults(model: type[models.Model]) -> tuple[tuple[str, Callable[[], Any]], ...]:
    return tuple((field.attname, field.get_default) for field in columns_of(model))


@cache
def _is_plain(model: type[models.Model]) -> bool:
    """Whether __init__() and from_db() do nothing that instance() does not do."""
    if model.__init__ is not models.Model.__init__:
        return False
    return hasattr(model, "after_load") or not any(
        "from_db" in each.__dict__ for each in model.__mro__ if each is not models.Model
    )


# These statements are built of our own table and column names, quoted, and hold no input.
@cache
def _query(model: type[models.Model], *columns: str) -> PreparedRowQuery:
    by: tuple[Any, ...] = tuple(model._meta.get_field(column) for column in columns)
    wanted = " AND ".join(f"{_quoted(field.column)} = %s" for field in by)
    source = f"FROM {_quoted(model._meta.db_table)} WHERE {wanted}"
    return PreparedRowQuery(columns_of(model), source, by)


@cache
def _any_row(model: type[models.Model], column: str) -> str:
    name = _quoted(str(model._meta.get_field(column).column))  # type: ignore[union-attr]  # a column
    return f"SELECT 1 FROM {_quoted(model._meta.db_table)} WHERE {name} = %s LIMIT 1"  # noqa: S608


@cache
def _insert(model: type[models.Model]) -> str:
    placeholders = ", ".join(["%s"] * len(columns_of(model)))
    table = _quoted(model._meta.db_table)
    return f"INSERT INTO {table} ({_columns(model)}) VALUES ({placeholders})"  # noqa: S608


@cache
def _update(model: type[models.Model], names: tuple[str, ...]) -> str:
    columns = [str(model._meta.get_field(name).column) for name in names]  # type: ignore[union-attr]
    changes = ", ".join(f"{_quoted(column)} = %s" for column in columns)
    key = _quoted(str(model._meta.pk.column))
    return f"UPDATE {_quoted(model._meta.db_table)} SET {changes} WHERE {key} = %s"  # noqa: S608


def _columns(model: type[models.Model]) -> str:
    return ", ".join(_quoted(str(field.column)) for field in columns_of(model))


def _quoted(name: str) -> str:
    return f'"{name}"'


@cache
def _names(model: type[models.Model]) -> list[str]:
    return [field.attname for field in columns_of(model)]
