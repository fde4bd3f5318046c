"""One joined row for each kind of credential: it, its person, whether a ban holds, any factor.

Plain SQL on the connection that Django keeps open, because its cursor alone costs twice what the
database does. The names are those of our own tables; values go in as parameters.
"""

import json
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from accounts.models import Authenticator, BrowserSession, User
from api.models import ApiKey, TokenFamily
from moderation.models import Ban
from sso.connecting import opened
from sso.models import AccessRule, GateCookie

PERSON = ("id", "email", "name", "role", "is_active", "is_claimed", "email_verified_at",
          "password", "not_before", "keys_not_before")  # fmt: skip
CREDENTIALS: dict[str, tuple[type[Model], tuple[str, ...]]] = {
    "session": (
        BrowserSession,
        ("session_data", "expire_date", "last_seen_at", "user_id", "public_id"),
    ),
    # Found by its second key; see GateCookie.
    "gate": (
        BrowserSession,
        ("session_data", "expire_date", "last_seen_at", "user_id", "public_id"),
    ),
    "key": (
        ApiKey,
        (
            "id",
            "digest",
            "scopes",
            "networks",
            "created_at",
            "expires_at",
            "revoked_at",
            "last_used_at",
        ),
    ),
    "token": (
        TokenFamily,
        ("user_id", "session_id", "created_at", "expires_at", "ended_at"),
    ),
}


class Found(NamedTuple):
    """own: the credential's columns by name; person: those of PERSON; is_banned; has_factor: a
    second one; session_end of the browser session that a token came from, None without one.
    """

    own: dict[str, Any]
    person: dict[str, Any]
    is_banned: bool
    has_factor: bool
    session_end: Any = None


def find(kind: str, key: str, now: datetime) -> Found | None:
    """The row of the credential `key` (a digest, an id), or None."""
    wrapper = opened()
    raw = wrapper.connection
    row = raw.execute(
        _statement(kind, wrapper.vendor), (_stored_time(wrapper, now), key)
    ).fetchone()
    if row is None:
        return None
    names = CREDENTIALS[kind][1]
    own, person = len(names), len(names) + len(PERSON)
    return Found(
        dict(zip(names, row[:own], strict=True)),
        dict(zip(PERSON, row[own:person], strict=True)),
        bool(row[person]),
        bool(row[person + 1]),
        row[person + 2] if kind == "token" else None,
    )


def rule_rows() -> list[tuple[Any, ...]]:
    """The rules in use as they are stored: only to see whether they are those of before."""
    wrapper = opened()
    raw = wrapper.connection
    found: list[tuple[Any, ...]] = raw.execute(_rule_statement(wrapper.vendor)).fetchall()
    return found


def seconds(value: datetime | str | None) -> float | None:
    """A stored time as seconds since 1970."""
    return None if value is None else moment(value).timestamp()


def moment(value: datetime | str) -> datetime:
    """A stored time as Django gives it; SQLite keeps it as text in UTC without saying so."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


def texts(value: Any) -> tuple[str, ...]:
    """A stored list of texts."""
    return _parsed(value) if isinstance(value, str) else tuple(value)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[str, ...]:
    """The lists of most rows are the same few."""
    return tuple(json.loads(text))


@cache
def _statement(kind: str, vendor: str) -> str:
    model, names = CREDENTIALS[kind]
    # In SQLite a plus takes the declared type away, and with it a converter for each value.
    sign, place = ("+", "?") if vendor == "sqlite" else ("", "%s")
    columns = [f"{sign}c.{model._meta.get_field(name).column}" for name in names]  # type: ignore[union-attr]  # all are columns
    columns += [f"{sign}u.{name}" for name in PERSON]
    ban = f"""EXISTS(SELECT 1 FROM {Ban._meta.db_table} b WHERE b.user_id = u.id
        AND b.lifted_at IS NULL AND (b.until IS NULL OR b.until > {place}))"""  # noqa: S608
    factor = f"EXISTS(SELECT 1 FROM {Authenticator._meta.db_table} f WHERE f.user_id = u.id)"  # noqa: S608
    further, join = "", ""
    if kind == "token":
        further = f", {sign}s.expire_date"
        join = f"""LEFT JOIN {BrowserSession._meta.db_table} s
            ON s.public_id = c.session_id AND s.user_id = c.user_id"""
    wanted = f"c.{model._meta.pk.column}"
    if kind == "gate":
        join = f"JOIN {GateCookie._meta.db_table} g ON g.session_id = c.session_key"
        wanted = "g.digest"
    return f"""SELECT {", ".join(columns)}, {ban}, {factor}{further}
        FROM {model._meta.db_table} c JOIN {User._meta.db_table} u ON u.id = c.user_id {join}
        WHERE {wanted} = {place}"""  # noqa: S608 - names of our own tables


@cache
def _rule_statement(vendor: str) -> str:
    sign = "+" if vendor == "sqlite" else ""
    columns = ", ".join(f"{sign}{field.column}" for field in AccessRule._meta.concrete_fields)
    table = AccessRule._meta.db_table
    return f"SELECT {columns} FROM {table} WHERE is_enabled ORDER BY position, id"  # noqa: S608


def _stored_time(wrapper: BaseDatabaseWrapper, now: datetime) -> Any:
    if wrapper.vendor == "sqlite":
        return str(now.astimezone(UTC).replace(tzinfo=None))  # as Django writes it
    return wrapper.ops.adapt_datetimefield_value(now)
