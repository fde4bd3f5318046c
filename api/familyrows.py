"""A family with its person and session in one ready statement; see accounts.rows."""

import uuid
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from django.db import connection, models

from accounts.models import BrowserSession, User
from api.models import TokenFamily

ROWS_REMEMBERED = 1024
_FAMILIES, _PEOPLE = TokenFamily._meta.db_table, User._meta.db_table
_SESSIONS = BrowserSession._meta.db_table
# Names of our own tables and columns: the statements hold no foreign text.
ADVANCE = f"""UPDATE "{_FAMILIES}" SET "generation" = "generation" + 1, "rotated_at" = %s
    WHERE "id" = %s AND "generation" = %s AND "ended_at" IS NULL AND "expires_at" > %s"""  # noqa: S608
NOTE_SIGN_IN = f"""UPDATE "{_PEOPLE}" SET "last_login" = %s
    WHERE "id" = %s AND "not_before" = %s"""  # noqa: S608


def find_family(family_id: uuid.UUID) -> tuple[TokenFamily, datetime | None] | None:
    """A family, its `user` loaded, and the end of its browser session (None: no such session)."""
    with connection.cursor() as cursor:
        parameter = TokenFamily._meta.pk.get_db_prep_value(family_id, connection)
        cursor.execute(_select(), [parameter])
        found = cursor.fetchone()
    if found is None:
        return None
    values = _converted(tuple(found), connection.vendor)
    names, count = _names(TokenFamily), len(_names(TokenFamily))
    family: TokenFamily = TokenFamily.from_db(connection.alias, names, values[:count])
    family.user = User.from_db(connection.alias, _names(User), values[count:-1])
    return family, values[-1]


def advance(family: TokenFamily, now: datetime) -> bool:
    """Spend the present generation of a living family; False when somebody else was faster."""
    return _execute(
        ADVANCE,
        TokenFamily,
        rotated_at=now,
        id=family.pk,
        generation=family.generation,
        expires_at=now,
    )


def note_sign_in(user: User, at: datetime) -> bool:
    """Write the last sign-in, unless the access of the person has changed since `user` was read.

    Whoever changes a password or an access holds this row until it is done, so this waits and
    then sees it.
    """
    return _execute(NOTE_SIGN_IN, User, last_login=at, id=user.pk, not_before=user.not_before)


def _execute(statement: str, model: type[models.Model], **values: Any) -> bool:
    """Run a conditional statement whose places are these columns; was a row changed?"""
    parameters = [
        model._meta.get_field(name).get_db_prep_save(value, connection)  # type: ignore[union-attr]  # a column
        for name, value in values.items()
    ]
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return bool(cursor.rowcount)


@lru_cache(maxsize=ROWS_REMEMBERED)
def _converted(found: tuple[Any, ...], vendor: str) -> tuple[Any, ...]:
    """The row as Python values. A token that is busy comes with the same row again and again."""
    values = list(found)
    for place, expression, convert in _converters(vendor):
        if values[place] is not None:
            values[place] = convert(values[place], expression, connection)
    return tuple(values)


@cache
def _names(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


@cache
def _fields() -> tuple[Any, ...]:
    """The columns of find_family(): family, person, and the end of the session."""
    return (
        *TokenFamily._meta.concrete_fields,
        *User._meta.concrete_fields,
        BrowserSession._meta.get_field("expire_date"),
    )


@cache
def _select() -> str:
    columns = ", ".join(f'"{field.model._meta.db_table}"."{field.column}"' for field in _fields())
    return f"""SELECT {columns} FROM "{_FAMILIES}"
        JOIN "{_PEOPLE}" ON "{_PEOPLE}"."id" = "{_FAMILIES}"."user_id"
        LEFT JOIN "{_SESSIONS}" ON "{_SESSIONS}"."public_id" = "{_FAMILIES}"."session_id"
            AND "{_SESSIONS}"."user_id" = "{_FAMILIES}"."user_id"
        WHERE "{_FAMILIES}"."id" = %s"""  # noqa: S608


@cache
def _converters(_vendor: str) -> list[tuple[int, Any, Any]]:
    """(place, expression, function) for each conversion that the database or a field asks for."""
    found = []
    for place, field in enumerate(_fields()):
        expression = field.cached_col
        functions = connection.ops.get_db_converters(expression)
        functions += expression.get_db_converters(connection)
        found += [(place, expression, function) for function in functions]
    return found
