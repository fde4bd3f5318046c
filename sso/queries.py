"""One joined row for each kind of credential: it, its person, and until when a ban holds.

Plain SQL on the connection that Django keeps open, because its cursor alone costs twice what the
database does. The names are those of our own tables; values go in as parameters.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

from django.db.models import Model

from accounts.models import Authenticator, BrowserSession, User
from api.models import ApiKey, SigningKey, TokenFamily
from moderation.models import Ban
from sso.connecting import opened
from sso.counting import looked_up
from sso.models import AccessRule, GateCookie


@dataclass(slots=True)
class Person:
    """What every row begins with: the person, as far as checks look.

    closed: the code of gates.refusal() but for a ban, None without one. banned_until: the end of
    the longest ban that nobody has lifted; it may be over.
    """

    closed: str | None
    banned_until: float | None
    id: Any
    email: str
    name: str
    role: str
    is_verified: bool  # SQLite says 0 or 1


@dataclass(slots=True)
class SessionRow:
    """What follows for a session."""

    state: str = field(repr=False)
    created_at: float
    expires_at: float
    last_seen_at: float
    public_id: Any
    password: str = field(repr=False)
    not_before: datetime | str


@dataclass(slots=True)
class KeyRow:
    """What follows for an API key that has not been revoked."""

    digest: str = field(repr=False)
    scopes: Any
    networks: Any
    expires_at: float | None
    last_used_at: float | None


@dataclass(slots=True)
class FamilyRow:
    """What follows for a family of tokens that has not been ended, and of its browser session."""

    expires_at: float
    session_id: Any
    session_end: float | None


@dataclass(frozen=True, slots=True)
class Credential:
    """Where a kind of credential stands (c), and with whom (u).

    mark: a credential older than that of its person is nothing any more; a session is bound to it
    in another way.
    """

    table: str
    shape: Callable[..., Any]
    columns: tuple[str, ...]
    wanted: str
    mark: str = ""
    joined: str = ""


def _table(model: type[Model]) -> str:
    return model._meta.db_table


class Time(str):
    """A column that is told in seconds since 1970."""

    __slots__ = ()


_SESSION_COLUMNS = (
    *("c.state", Time("c.created_at"), Time("c.expire_date"), Time("c.last_seen_at")),
    *("c.public_id", "u.password", "u.not_before"),
)
_SESSIONS = _table(BrowserSession)
CREDENTIALS = {
    "session": Credential(_SESSIONS, SessionRow, _SESSION_COLUMNS, "c.session_key = {key}"),
    # Found by its second key; see GateCookie.
    "gate": Credential(
        _SESSIONS,
        SessionRow,
        _SESSION_COLUMNS,
        "g.digest = {key}",
        joined=f"JOIN {_table(GateCookie)} g ON g.session_id = c.session_key",
    ),
    "key": Credential(
        _table(ApiKey),
        KeyRow,
        ("c.digest", "c.scopes", "c.networks", Time("c.expires_at"), Time("c.last_used_at")),
        "c.id = {key} AND c.revoked_at IS NULL",
        mark="keys_not_before",
    ),
    "token": Credential(
        _table(TokenFamily),
        FamilyRow,
        (Time("c.expires_at"), "c.session_id", Time("s.expire_date")),
        "c.id = {key} AND c.ended_at IS NULL",
        mark="not_before",
        joined=f"""LEFT JOIN {_SESSIONS} s
            ON s.public_id = c.session_id AND s.user_id = c.user_id""",
    ),
}
NEVER = float("inf")
# A ban without an end, in seconds since 1970.
ENDLESS = "1e300"
SECONDS = {
    "sqlite": "(julianday({}) - 2440587.5) * 86400.0",
    "postgresql": "EXTRACT(EPOCH FROM {})::float8",
}


def find(kind: str, key: str) -> tuple[Any, Person] | None:
    """The row of the credential `key` (a digest, an id) and its person's, or None."""
    looked_up()
    wrapper = opened()
    statement, make = _query(kind, wrapper.vendor)
    raw = wrapper.connection
    row = raw.execute(statement, (key,)).fetchone()
    if row is None:
        return None
    return make(*row[_OWN:]), Person(*row[:_OWN])


def has_factor(user_id: Any) -> bool:
    """Has that person, as the row names them, a second factor? Few roles are asked for one."""
    wrapper = opened()
    raw = wrapper.connection
    return raw.execute(_factor_statement(wrapper.vendor), (user_id,)).fetchone() is not None


def rule_rows() -> list[tuple[Any, ...]]:
    """The rules in use as they are stored: only to see whether they are those of before."""
    wrapper = opened()
    raw = wrapper.connection
    found: list[tuple[Any, ...]] = raw.execute(_rule_statement(wrapper.vendor)).fetchall()
    return found


def key_rows() -> list[tuple[Any, ...]]:
    """The signing keys, as far as it matters whose tokens they sign: see rule_rows()."""
    raw = opened().connection
    found: list[tuple[Any, ...]] = raw.execute(KEY_STATEMENT).fetchall()
    return found


def stored_id(value: UUID) -> Any:
    """As the database keeps it."""
    return value.hex if opened().vendor == "sqlite" else value


UNREADABLE = ("?",)


def texts(value: Any) -> tuple[str, ...]:
    """A stored list of texts; UNREADABLE for anything else, which is no scope and no network."""
    return _parsed(value) if isinstance(value, str) else _as_texts(value)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[str, ...]:
    """The lists of most rows are the same few."""
    try:
        return _as_texts(json.loads(text))
    except ValueError:
        return UNREADABLE


def _as_texts(value: Any) -> tuple[str, ...]:
    is_texts = isinstance(value, list) and all(isinstance(text, str) for text in value)
    return tuple(value) if is_texts else UNREADABLE


_OWN = len(fields(Person))
_KEYS = _table(SigningKey)
KEY_STATEMENT = (
    f"SELECT kid, CAST(active_from AS TEXT), CAST(retires_at AS TEXT) FROM {_KEYS} ORDER BY kid"  # noqa: S608
)


@cache
def _query(kind: str, vendor: str) -> tuple[str, Callable[..., Any]]:
    """The statement, and what makes the credential's own part of a row."""
    credential, seconds = CREDENTIALS[kind], SECONDS[vendor]
    # In SQLite a plus takes the declared type away, and with it a converter for each value.
    sign, place = ("+", "?") if vendor == "sqlite" else ("", "%s")
    columns = (
        _closed(credential.mark),
        f"""(SELECT MAX(COALESCE({seconds.format("b.until")}, {ENDLESS})) FROM {_table(Ban)} b
            WHERE b.user_id = u.id AND b.lifted_at IS NULL)""",  # noqa: S608
        *(f"{sign}u.{name}" for name in ("id", "email", "name", "role")),
        "u.email_verified_at IS NOT NULL",
        *(
            seconds.format(column) if isinstance(column, Time) else f"{sign}{column}"
            for column in credential.columns
        ),
    )
    # Names as short as can be: each row tells them again.
    named = ", ".join(f"{column} AS c{number}" for number, column in enumerate(columns))
    statement = f"""SELECT {named} FROM {credential.table} c
        JOIN {_table(User)} u ON u.id = c.user_id {credential.joined}
        WHERE {credential.wanted.format(key=place)}"""  # noqa: S608 - names of our own tables
    return statement, credential.shape


def _closed(mark: str) -> str:
    """The order of accounts.gates.refusal()."""
    old = f"WHEN c.created_at < u.{mark} THEN 'token_invalid'" if mark else ""
    return f"""CASE WHEN NOT u.is_active THEN 'account_disabled'
        WHEN NOT u.is_claimed THEN 'setup_pending' {old} END"""


@cache
def _factor_statement(vendor: str) -> str:
    place = "?" if vendor == "sqlite" else "%s"
    return f"SELECT 1 FROM {_table(Authenticator)} WHERE user_id = {place} LIMIT 1"  # noqa: S608


@cache
def _rule_statement(vendor: str) -> str:
    sign = "+" if vendor == "sqlite" else ""
    columns = ", ".join(f"{sign}{field.column}" for field in AccessRule._meta.concrete_fields)
    table = AccessRule._meta.db_table
    return f"SELECT {columns} FROM {table} WHERE is_enabled ORDER BY position, id"  # noqa: S608
