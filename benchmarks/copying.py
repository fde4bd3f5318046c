"""Many rows like one, by one statement and without an object for each: a million in a minute."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection, models, transaction

from core.sql import columns_of


def copy(pattern: models.Model, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A row for each of `rows`, which gives the columns `names`; the others are the pattern's."""
    meta = pattern._meta
    given = [meta.get_field(name) for name in names]
    others = ", ".join(_quoted(field) for field in columns_of(type(pattern)) if field not in given)
    statement = (
        f'INSERT INTO "{meta.db_table}" ({", ".join(map(_quoted, given))}, {others}) '
        f"SELECT {', '.join(['%s'] * len(given))}, {others} "
        f'FROM "{meta.db_table}" WHERE {_quoted(meta.pk)} = %s'
    )
    fields = [*given, meta.pk]

    def values(row: Sequence[Any]) -> list[Any]:
        pairs = zip(fields, (*row, pattern.pk), strict=True)
        return [field.get_db_prep_save(value, connection) for field, value in pairs]

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(statement, map(values, rows))


def analyze() -> None:
    """Let the database count what it has, as it does by itself in the course of a day."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _quoted(field: Any) -> str:
    return connection.ops.quote_name(field.column)


def multiply(pattern: models.Model, expressions: Mapping[str, str], first: int, end: int) -> None:
    """A row for each number `i` from `first` to before `end`, made by the database itself.

    expressions: SQL of the named fields, which may use i; the other columns are the pattern's.
    """
    meta = pattern._meta
    given: list[Any] = [meta.get_field(name) for name in expressions]
    others = [_quoted(field) for field in columns_of(type(pattern)) if field not in given]
    series = (
        "generate_series(%s::bigint, %s) AS n(i)"
        if connection.vendor == "postgresql"
        else "(WITH RECURSIVE n(i) AS (SELECT %s UNION ALL SELECT i + 1 FROM n WHERE i < %s)"
        " SELECT i FROM n)"
    )
    statement = (
        f'INSERT INTO "{meta.db_table}" ({", ".join([*map(_quoted, given), *others])}) '
        f"SELECT {', '.join([*expressions.values(), *(f'p.{name}' for name in others)])} "
        f'FROM "{meta.db_table}" p, {{series}} WHERE p.{_quoted(meta.pk)} = {{key}}'
    )
    # What looks like a placeholder in an expression is a part of it.
    text = statement.replace("%", "%%").format(series=series, key="%s")
    key = meta.pk.get_db_prep_value(pattern.pk, connection)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(text, [first, end - 1, key])
