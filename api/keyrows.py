"""A key with its owner in one ready statement, and the note of its use; see accounts.rows."""

from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from django.db import connections, models, router

from accounts.models import User
from api.keymeter import NOTE_EVERY
from api.models import ApiKey

ROWS_REMEMBERED = 1024
_KEYS, _PEOPLE = ApiKey._meta.db_table, User._meta.db_table
# Names of our own tables and columns: the statement holds no foreign text.
NOTE_USE = f"""UPDATE "{_KEYS}" SET "last_used_at" = %s, "last_used_ip" = %s
    WHERE "id" = %s AND ("last_used_at" IS NULL OR "last_used_at" < %s)"""  # noqa: S608


def find_key(key_id: str) -> ApiKey | None:
    """The key with its `user` loaded; None when there is none."""
    using = router.db_for_read(ApiKey)
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute(_select(), [key_id])
        found = cursor.fetchone()
    if found is None:
        return None
    values = _converted(tuple(found), using)
    names = _names(ApiKey)
    key: ApiKey = ApiKey.from_db(using, names, values[: len(names)])
    key.user = User.from_db(using, _names(User), values[len(names) :])
    return key


def note_use(key: ApiKey, ip: str, now: datetime) -> None:
    """Write down that the key was used, unless another process has just done so."""
    connection = connections[router.db_for_write(ApiKey)]
    field = ApiKey._meta.get_field("last_used_at")
    at, before = (field.get_db_prep_save(moment, connection) for moment in (now, now - NOTE_EVERY))
    with connection.cursor() as cursor:
        cursor.execute(NOTE_USE, [at, ip, key.pk, before])


@lru_cache(maxsize=ROWS_REMEMBERED)
def _converted(found: tuple[Any, ...], using: str) -> tuple[Any, ...]:
    """The row as Python values. A key that is busy comes with the same row again and again."""
    connection = connections[using]
    values = list(found)
    for place, expression, convert in _converters(using):
        if values[place] is not None:
            values[place] = convert(values[place], expression, connection)
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


@cache
def _select() -> str:
    columns = ", ".join(
        f'"{model._meta.db_table}"."{field.column}"'
        for model in (ApiKey, User)
        for field in model._meta.concrete_fields
    )
    return f"""SELECT {columns} FROM "{_KEYS}" JOIN "{_PEOPLE}"
        ON "{_PEOPLE}"."id" = "{_KEYS}"."user_id" WHERE "{_KEYS}"."id" = %s"""  # noqa: S608


@cache
def _names(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


@cache
def _converters(using: str) -> list[tuple[int, Any, Any]]:
    """(place, expression, function) for each conversion that the database or a field asks for."""
    connection = connections[using]
    fields = [*ApiKey._meta.concrete_fields, *User._meta.concrete_fields]
    found = []
    for place, field in enumerate(fields):
        expression = field.cached_col
        functions = connection.ops.get_db_converters(expression)
        functions += expression.get_db_converters(connection)
        found += [(place, expression, function) for function in functions]
    return found
