"""Values of columns, from the database and to it: as Django converts them, in fewer steps.

Most columns are text, times, ids and flags. What Django's steps come to for these in SQLite is
written down here; every other kind of field, value or database takes Django's own.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

from django.db import models

# The same few apps, users and sessions are named again and again.
_uuid = lru_cache(maxsize=4096)(UUID)
Reader = Callable[[Any], Any]
# Fields of these very classes store what they are given.
_TEXTS = frozenset({models.CharField, models.TextField, models.EmailField})
_NUMBERS = frozenset({
    models.IntegerField, models.BigIntegerField, models.SmallIntegerField,
    models.PositiveIntegerField, models.PositiveSmallIntegerField,
})  # fmt: skip


def readers_of(fields: Sequence[Any], connection: Any) -> list[tuple[int, Reader]]:
    """(index, function) for each conversion that database or field asks for, in their order."""
    ops, quick = connection.ops, dict[Any, Reader]()
    if connection.vendor == "sqlite":
        quick = {ops.convert_uuidfield_value: _uuid, ops.convert_booleanfield_value: _flag}
        if _is_in_utc(connection):
            quick[ops.convert_datetimefield_value] = partial(_moment, connection)
    found = list[tuple[int, Reader]]()
    for index, field in enumerate(fields):
        # Of a foreign key, the column is converted as the key that it refers to.
        column = field.get_col(field.model._meta.db_table)
        for function in (*ops.get_db_converters(column), *column.get_db_converters(connection)):
            usual = partial(_usual, function, column, connection)
            found.append((index, quick.get(function, usual)))
    return found


def writers_of(field: Any, connection: Any) -> dict[type[Any], Callable[[Any], Any]]:
    """By the type of a value: what the driver takes. None of it: ask prepared()."""
    if connection.vendor != "sqlite":
        return {}
    found: dict[type[Any], Callable[[Any], Any]] = {}
    kind = type(field)
    column = field.target_field if kind is models.ForeignKey else field
    if type(column) is models.UUIDField:
        found[UUID] = _hex
    elif kind in _TEXTS:
        found[str] = _same
    elif kind in _NUMBERS:
        found[int] = _same
    elif kind is models.BooleanField:
        found[bool] = _same
    elif kind is models.DateTimeField and _is_in_utc(connection):
        found[datetime] = _naive
    elif kind is models.JSONField and field.encoder is None:
        found |= {dict: json.dumps, list: json.dumps}
    return found


def prepared(field: Any, value: Any, connection: Any) -> Any:
    """The value of a column as the database driver takes it."""
    write = _writers(field, connection.vendor, connection).get(type(value))
    found = None if write is None else write(value)
    return field.get_db_prep_save(value, connection) if found is None else found


def _writers(field: Any, vendor: str, connection: Any) -> dict[type[Any], Callable[[Any], Any]]:
    # By identity: fields compare by their place in a model, which takes longer than all the rest.
    key = id(field), vendor
    kept = _kept.get(key)
    if kept is None or kept[0] is not field:
        kept = _kept[key] = (field, writers_of(field, connection))
    return kept[1]


_kept: dict[tuple[int, str], tuple[Any, dict[type[Any], Callable[[Any], Any]]]] = {}


def _same(value: Any) -> Any:
    return value


def _hex(value: UUID) -> str:
    return f"{value.int:032x}"


def _naive(value: datetime) -> str | None:
    return str(value.replace(tzinfo=None)) if value.tzinfo is UTC else None


def _usual(function: Any, column: Any, connection: Any, value: Any) -> Any:
    return function(value, column, connection)


def _flag(value: Any) -> Any:
    return bool(value) if value in (1, 0) else value


def _moment(connection: Any, value: Any) -> Any:
    if type(value) is str:
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return connection.ops.convert_datetimefield_value(value, None, connection)


def _is_in_utc(connection: Any) -> bool:
    """Django keeps the time zone; it is None without USE_TZ."""
    return connection.timezone is UTC
