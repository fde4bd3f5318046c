"""One joined row for each kind of credential: it, its person, whether a ban holds, any factor.

Plain SQL on the connection that Django keeps open, because its cursor alone costs twice what the
database does. The names are those of our own tables; values go in as parameters.
"""

import json
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from accounts.models import Authenticator, BrowserSession, User
from api.models import ApiKey, TokenFamily
from moderation.models import Ban
from sso.connecting import opened
from sso.models import AccessRule, GateCookie


class Person(NamedTuple):
    """The columns of a person that checks look at, as they are stored."""

    id: Any
    email: str
    name: str
    role: str
    is_active: bool
    is_claimed: bool
    email_verified_at: datetime | str | None
    password: str
    not_before: datetime | str
    keys_not_before: datetime | str


class SessionRow(NamedTuple):
    """Those of a session."""

    session_data: str
    expire_date: datetime | str
    last_seen_at: datetime | str
    user_id: Any
    public_id: Any


class KeyRow(NamedTuple):
    """Those of an API key."""

    id: str
    digest: str
    scopes: Any
    networks: Any
    created_at: datetime | str
    expires_at: datetime | str | None
    revoked_at: datetime | str | None
    last_used_at: datetime | str | None


class FamilyRow(NamedTuple):
    """Those of a family of tokens."""

    user_id: Any
    session_id: Any
    created_at: datetime | str
    expires_at: datetime | str
    ended_at: datetime | str | None


CREDENTIALS: dict[str, tuple[type[Model], type[NamedTuple]]] = {
    "session": (BrowserSession, SessionRow),
    # Found by its second key; see GateCookie.
    "gate": (BrowserSession, SessionRow),
    "key": (ApiKey, KeyRow),
    "token": (TokenFamily, FamilyRow),
}


class Found(NamedTuple):
    """own: the credential's row; is_banned; has_factor: a second one; session_end of the browser
    session that a token came from, None without one.
    """

    own: Any
    person: Person
    is_banned: bool  # SQLite says 0 or 1
    has_factor: bool
    session_end: Any = None


class Query(NamedTuple):
    """A statement, and where in its row the person begins and ends."""

    statement: str
    shape: type[Any]
    person: int
    end: int


def find(kind: str, key: str, now: datetime) -> Found | None:
    """The row of the credential `key` (a digest, an id), or None. now: in UTC."""
    wrapper = opened()
    query = _query(kind, wrapper.vendor)
    raw = wrapper.connection
    row = raw.execute(query.statement, (_stored_time(wrapper, now), key)).fetchone()
    if row is None:
        return None
    person, end = query.person, query.end
    own = query.shape._make(row[:person])
    return Found(own, Person._make(row[person:end]), *row[end:])


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
    return datetime.fromisoformat(f"{value}+00:00") if isinstance(value, str) else value


def texts(value: Any) -> tuple[str, ...]:
    """A stored list of texts."""
    return _parsed(value) if isinstance(value, str) else tuple(value)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[str, ...]:
    """The lists of most rows are the same few."""
    return tuple(json.loads(text))


@cache
def _query(kind: str, vendor: str) -> Query:
    model, shape = CREDENTIALS[kind]
    # In SQLite a plus takes the declared type away, and with it a converter for each value.
    sign, place = ("+", "?") if vendor == "sqlite" else ("", "%s")
    columns = [f"{sign}c.{model._meta.get_field(name).column}" for name in shape._fields]  # type: ignore[union-attr]  # all are columns
    person = len(columns)
    columns += [f"{sign}u.{name}" for name in Person._fields]
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
    statement = f"""SELECT {", ".join(columns)}, {ban}, {factor}{further}
        FROM {model._meta.db_table} c JOIN {User._meta.db_table} u ON u.id = c.user_id {join}
        WHERE {wanted} = {place}"""  # noqa: S608 - names of our own tables
    return Query(statement, shape, person, len(columns))


@cache
def _rule_statement(vendor: str) -> str:
    sign = "+" if vendor == "sqlite" else ""
    columns = ", ".join(f"{sign}{field.column}" for field in AccessRule._meta.concrete_fields)
    table = AccessRule._meta.db_table
    return f"SELECT {columns} FROM {table} WHERE is_enabled ORDER BY position, id"  # noqa: S608


def _stored_time(wrapper: BaseDatabaseWrapper, now: datetime) -> Any:
    if wrapper.vendor == "sqlite":
        return str(now).removesuffix("+00:00")  # as Django writes it
    return wrapper.ops.adapt_datetimefield_value(now)
