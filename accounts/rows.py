"""One row read by a unique column, plain inserts and updates, for the busiest tables.

Django builds the same SQL anew for each call, which takes several times as long as the database
needs. Here it is built once for each table; values go through the fields as always. No signals are
sent, and save() of a model is not called.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

from django.db import connections, models, router

Row = TypeVar("Row", bound=models.Model)


def find(model: type[Row], column: str, value: Any) -> Row | None:
    """The row whose unique `column` (a name of ours, never foreign text) is `value`."""
    using = router.db_for_read(model)
    connection = connections[using]
    field = model._meta.get_field(column)
    parameter = field.get_db_prep_value(value, connection)  # type: ignore[union-attr]  # a column
    with connection.cursor() as cursor:
        cursor.execute(_select(model, column), [parameter])
        found = cursor.fetchone()
    if found is None:
        return None
    values = list(found)
    for place, expression, convert in _converters(model, using):
        values[place] = convert(values[place], expression, connection)
    return model.from_db(using, _names(model), values)


def insert(rows: Sequence[models.Model]) -> None:
    """Write new rows of one table, their primary keys set. Raises IntegrityError."""
    if not rows:
        return
    model = type(rows[0])
    using = router.db_for_write(model)
    connection = connections[using]
    fields = model._meta.concrete_fields
    values = [
        [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields]
        for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_insert(model), values)
    for row in rows:
        row._state.adding, row._state.db = False, using


def update(row: models.Model, *names: str) -> None:
    """Write these fields of an existing row."""
    model = row._meta.model  # not type(row): request.user is a proxy
    connection = connections[router.db_for_write(model)]
    fields = [model._meta.get_field(name) for name in names]
    values = [
        field.get_db_prep_save(getattr(row, field.attname), connection)  # type: ignore[union-attr]
        for field in (*fields, model._meta.pk)
    ]
    with connection.cursor() as cursor:
        cursor.execute(_update(model, names), values)


# Names of our own tables and columns, quoted: the statements hold no foreign text.
@cache
def _select(model: type[models.Model], column: str) -> str:
    condition = _quoted(str(model._meta.get_field(column).column))  # type: ignore[union-attr]
    table = _quoted(model._meta.db_table)
    return f"SELECT {_columns(model)} FROM {table} WHERE {condition} = %s"  # noqa: S608


@cache
def _insert(model: type[models.Model]) -> str:
    places = ", ".join(["%s"] * len(model._meta.concrete_fields))
    table = _quoted(model._meta.db_table)
    return f"INSERT INTO {table} ({_columns(model)}) VALUES ({places})"  # noqa: S608


@cache
def _update(model: type[models.Model], names: tuple[str, ...]) -> str:
    columns = [str(model._meta.get_field(name).column) for name in names]  # type: ignore[union-attr]
    changes = ", ".join(f"{_quoted(column)} = %s" for column in columns)
    key = _quoted(str(model._meta.pk.column))
    return f"UPDATE {_quoted(model._meta.db_table)} SET {changes} WHERE {key} = %s"  # noqa: S608


def _columns(model: type[models.Model]) -> str:
    return ", ".join(_quoted(str(field.column)) for field in model._meta.concrete_fields)


def _quoted(name: str) -> str:
    return f'"{name}"'


@cache
def _names(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


@cache
def _converters(model: type[models.Model], using: str) -> list[tuple[int, Any, Any]]:
    """(place, expression, function) for each conversion that the database or a field asks for."""
    connection = connections[using]
    found = []
    for place, field in enumerate(model._meta.concrete_fields):
        expression = field.cached_col
        functions = connection.ops.get_db_converters(expression)
        functions += expression.get_db_converters(connection)
        found += [(place, expression, function) for function in functions]
    return found
