"""Values of columns, from the database and to it: as Django converts them, in fewer steps.

Most columns are text, times, ids and flags. What Django's steps come to for these in SQLite is
written down here; every other kind of field, value or database takes Django's own.
"""

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
_KNOWN = frozenset({
    *_TEXTS, *_NUMBERS, models.BooleanField, models.DateTimeField, models.UUIDField,
    models.ForeignKey, models.JSONField,
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


def prepared(field: Any, value: Any, connection: Any) -> Any:
    """The value of a column as the database driver takes it."""
    write = _SQLITE.get(type(value)) if connection.vendor == "sqlite" else None
    found = None if write is None else write(field, value, connection)
    return field.get_db_prep_save(value, connection) if found is None else found


def plain_types(field: Any, connection: Any) -> frozenset[type[Any]]:
    """Types of values that the driver takes as they are."""
    kind = type(field)
    if connection.vendor != "sqlite" or kind not in _KNOWN:
        return frozenset()
    own = {str} if kind in _TEXTS else {int} if kind in _NUMBERS else set[type[Any]]()
    own |= {bool} if kind is models.BooleanField else set()
    return frozenset({*own, type(None)})


def _text(field: Any, value: str, _connection: Any) -> str | None:
    return value if type(field) in _TEXTS else None


def _number(field: Any, value: int, _connection: Any) -> int | None:
    return value if type(field) in _NUMBERS else None


def _truth(field: Any, value: bool, _connection: Any) -> bool | None:
    return value if type(field) is models.BooleanField else None


def _time(field: Any, value: datetime, connection: Any) -> str | None:
    is_usual = type(field) is models.DateTimeField and value.tzinfo is UTC
    return str(value.replace(tzinfo=None)) if is_usual and _is_in_utc(connection) else None


def _id(field: Any, value: UUID, _connection: Any) -> str | None:
    column = field.target_field if type(field) is models.ForeignKey else field
    return value.hex if type(column) is models.UUIDField else None


# By the type of the value: what the driver takes, or None to ask the field.
_SQLITE: dict[type[Any], Callable[[Any, Any, Any], Any]] = {
    str: _text,
    int: _number,
    bool: _truth,
    datetime: _time,
    UUID: _id,
}


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
