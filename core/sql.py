"""Prepared SQL for the busiest tables: one row by a unique column, plain inserts and updates.

Django builds the SQL text anew for each call, which takes several times as long as the database
needs. Here it is built once for each table. Values are converted by the model fields as always.
No signals are sent, and Model.save() is not called.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any, TypeVar

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections, models, router

from core.row_cache import rows_here

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
    connection = connections[router.db_for_read(model)]
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
        # A busy row is read with the same values again and again.
        self._converted = lru_cache(maxsize=CACHED_ROWS)(self._convert)
        self._converters: dict[str, list[tuple[int, Any, Any]]] = {}
        models_read = {field.model for field in (*self.by, *self.fields)}
        self._is_watched = {model._meta.label for model in models_read} <= {
            *settings.WATCHED_MODELS
        }

    def fetch_one(self, *values: Any) -> tuple[Any, ...] | None:
        """The row as Python values, or None. Inside reuse_rows() one that was read before may do.

        Then all tables of `source` have to be watched, also those without a column in `fields`.
        """
        using = router.db_for_read(self.by[0].model)
        rows = rows_here() if self._is_watched and using == DEFAULT_DB_ALIAS else None
        if rows is None:
            return self._fetch_one(values, using)
        key = (self.statement, *values)
        found: tuple[Any, ...] | None = rows.get(key, _MISSING)
        if found is _MISSING:
            found = rows[key] = self._fetch_one(values, using)
        return found

    def _fetch_one(self, values: tuple[Any, ...], using: str) -> tuple[Any, ...] | None:
        connection = connections[using]
        given = zip(self.by, values, strict=True)
        with connection.cursor() as cursor:
            cursor.execute(
                self.statement,
                [field.get_db_prep_value(value, connection) for field, value in given],
            )
            found = cursor.fetchone()
        return None if found is None else self._converted(tuple(found), using)

    def _convert(self, found: tuple[Any, ...], using: str) -> tuple[Any, ...]:
        values = list(found)
        for index, expression, convert in self._converters_of(using):
            if values[index] is not None:
                values[index] = convert(values[index], expression, connections[using])
        # Cached values are shared, so none of them may be mutable.
        return tuple(tuple(value) if isinstance(value, list) else value for value in values)

    def _converters_of(self, using: str) -> list[tuple[int, Any, Any]]:
        """(index, expression, function) for each conversion that database or field asks for."""
        if using not in self._converters:
            connection = connections[using]
            # Of a foreign key, the column is converted as the key that it refers to.
            columns = [field.get_col(field.model._meta.db_table) for field in self.fields]
            self._converters[using] = [
                (index, column, function)
                for index, column in enumerate(columns)
                for function in (
                    *connection.ops.get_db_converters(column),
                    *column.get_db_converters(connection),
                )
            ]
        return self._converters[using]


@cache
def columns_of(model: type[models.Model]) -> tuple[Any, ...]:
    """The fields that are written; the database computes the generated ones."""
    return tuple(field for field in model._meta.concrete_fields if not field.generated)


def instance(model: type[Row], values: Sequence[Any]) -> Row:
    """The row of `model` with these values, one for each of columns_of(model)."""
    return model.from_db(router.db_for_read(model), _names(model), list(values))


def change(statement: str, model: type[models.Model], **values: Any) -> bool:
    """Run a conditional UPDATE whose parameters are these columns in order; True: a row changed."""
    connection = connections[router.db_for_write(model)]
    with connection.cursor() as cursor:
        cursor.execute(statement, _parameters(model, values, connection))
        return bool(cursor.rowcount)


def _parameters(model: type[models.Model], values: dict[str, Any], connection: Any) -> list[Any]:
    """Column values as the database driver takes them."""
    return [
        model._meta.get_field(name).get_db_prep_save(value, connection)  # type: ignore[union-attr]
        for name, value in values.items()
    ]


def insert(rows: Sequence[models.Model]) -> None:
    """Insert new rows of one table, with their primary keys set. Raises IntegrityError."""
    if not rows:
        return
    model = type(rows[0])
    using = router.db_for_write(model)
    connection = connections[using]
    fields = columns_of(model)
    values = [
        [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields]
        for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_insert(model), values)
    for row in rows:
        row._state.adding, row._state.db = False, using


def update(row: models.Model, *names: str) -> bool:
    """Write these fields of an existing row. Returns False when the row is gone."""
    model = row._meta.model  # not type(row): request.user is a proxy
    connection = connections[router.db_for_write(model)]
    fields = [model._meta.get_field(name) for name in names]
    values = [
        field.get_db_prep_save(getattr(row, field.attname), connection)  # type: ignore[union-attr]
        for field in (*fields, model._meta.pk)
    ]
    with connection.cursor() as cursor:
        cursor.execute(_update(model, names), values)
        return bool(cursor.rowcount)


def newest(rows: models.QuerySet[Any], after: datetime) -> datetime | None:
    """`created_at` of the newest row after `after`, as another node with a fast clock writes it."""
    later = rows.filter(created_at__gt=after)
    found: datetime | None = later.aggregate(newest=models.Max("created_at"))["newest"]
    return found


def next_monotonic_time(now: datetime, *moments: datetime | None) -> datetime:
    """`now`, or the first moment after all `moments` when the clock went back."""
    return max([now, *(moment + TICK for moment in moments if moment is not None)])


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
