"""The statements of step 3: a credential, its user and the end of the user's ban in one joined row.

Plain SQL on the connection that Django keeps open, because Django's cursor alone costs twice what
the database does. Table and column names are our own; values are passed as parameters.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

from django.db.models import Model

from accounts.models import BrowserSession, Group, Membership, User
from api.models import ApiKey, SigningKey, TokenFamily
from core import tracing
from core.invalidation.data_version import opened
from forward_auth.decisions import NEVER
from forward_auth.metrics import count_lookup
from forward_auth.models import AccessRule, ForwardAuthCookie
from mfa.models import Authenticator
from moderation.models import Ban

# Attribute of the trace of a check: where its answer came from.
SOURCE = "gatehouse.check.source"
LOOKED_UP = {SOURCE: "database"}


@dataclass(slots=True)
class UserRow:
    """The columns that every row begins with: the user.

    block: the code of access_policy.get_denial() without regard to bans, or None. banned_until: the
    end of the longest ban that was not lifted; it may be in the past. Times in seconds since 1970.
    """

    block: str | None
    banned_until: float | None
    id: Any
    email: str
    name: str
    role: str
    role_after: str
    is_verified: bool  # 0 or 1 in SQLite
    expires_at: float | None
    role_until: float | None
    groups: str | None  # see _groups(); None for most people

    def role_at(self, now: float) -> str:
        """The role that holds; see User.from_db()."""
        return self.role if self.role_until is None or self.role_until > now else self.role_after

    def changes_at(self, now: float) -> float:
        """When the access, the role or a group ends by itself, whichever is first."""
        ends = [self.expires_at, self.role_until]
        if self.groups is not None:
            ends += [end for _name, end in memberships(self.groups)]
        return min((end for end in ends if end is not None and end > now), default=NEVER)

    def groups_at(self, now: float) -> tuple[str, ...]:
        """The names of the groups that hold, in order; see reading.groups_of()."""
        if self.groups is None:
            return ()
        held = {name for name, end in memberships(self.groups) if end is None or end > now}
        return tuple(sorted(held))


@lru_cache(maxsize=1024)
def memberships(text: str) -> tuple[tuple[str, float | None], ...]:
    """(name of the group, end) of each membership. text: see _groups()."""
    pairs = (each.partition("=") for each in text.split(","))
    return tuple((name, float(end) if end else None) for name, _sign, end in pairs)


@dataclass(slots=True)
class SessionRow:
    """The further columns of a session."""

    state: str = field(repr=False)
    created_at: float
    expires_at: float
    last_seen_at: float
    public_id: Any
    password: str = field(repr=False)
    credentials_valid_from: datetime | str


@dataclass(slots=True)
class KeyRow:
    """The further columns of an API key that is not revoked."""

    digest: str = field(repr=False)
    scopes: Any
    networks: Any
    expires_at: float | None
    last_used_at: float | None


@dataclass(slots=True)
class FamilyRow:
    """The further columns of a token family that has not ended, and of its browser session."""

    expires_at: float
    session_id: Any
    session_end: float | None


@dataclass(frozen=True, slots=True)
class Credential:
    """How to select a kind of credential (c) and its user (u).

    valid_from: the user's column before which a credential is invalid. A session is bound to it by
    its hash instead. condition: selects the row by {key}.
    """

    table: str
    shape: Callable[..., Any]
    columns: tuple[str, ...]
    condition: str
    valid_from: str = ""
    joined: str = ""


def _table(model: type[Model]) -> str:
    return model._meta.db_table


class Time(str):
    """A column that is selected in seconds since 1970."""

    __slots__ = ()


_SESSION_COLUMNS = (
    *("c.state", Time("c.created_at"), Time("c.expire_date"), Time("c.last_seen_at")),
    *("c.public_id", "u.password", "u.credentials_valid_from"),
)
_SESSIONS = _table(BrowserSession)
CREDENTIALS = {
    "session": Credential(_SESSIONS, SessionRow, _SESSION_COLUMNS, "c.session_key = {key}"),
    # Found by its second cookie; see ForwardAuthCookie.
    "gate": Credential(
        _SESSIONS,
        SessionRow,
        _SESSION_COLUMNS,
        "g.digest = {key}",
        joined=f"JOIN {_table(ForwardAuthCookie)} g ON g.session_id = c.session_key",
    ),
    "key": Credential(
        _table(ApiKey),
        KeyRow,
        ("c.digest", "c.scopes", "c.networks", Time("c.expires_at"), Time("c.last_used_at")),
        "c.id = {key} AND c.revoked_at IS NULL",
        valid_from="keys_valid_from",
    ),
    "token": Credential(
        _table(TokenFamily),
        FamilyRow,
        (Time("c.expires_at"), "c.session_id", Time("s.expire_date")),
        "c.id = {key} AND c.ended_at IS NULL",
        valid_from="credentials_valid_from",
        joined=f"""LEFT JOIN {_SESSIONS} s
            ON s.public_id = c.session_id AND s.user_id = c.user_id""",
    ),
}
# A ban without an end, in seconds since 1970.
ENDLESS = "1e300"
SECONDS = {
    "sqlite": "(julianday({}) - 2440587.5) * 86400.0",
    "postgresql": "EXTRACT(EPOCH FROM {})::float8",
}


def find_credential(kind: str, key: str) -> tuple[Any, UserRow] | None:
    """(row of the credential, row of its user), or None. key: a digest or an id."""
    count_lookup()
    if tracing.is_on:
        tracing.note(LOOKED_UP)
    wrapper = opened()
    statement, row_class = _query(kind, wrapper.vendor)
    raw = wrapper.connection
    row = raw.execute(statement, (key,)).fetchone()
    if row is None:
        return None
    return row_class(*row[_OWN:]), UserRow(*row[:_OWN])


def has_second_factor(user_id: Any) -> bool:
    """Whether the user has a second factor. user_id: as in the row."""
    wrapper = opened()
    raw = wrapper.connection
    return raw.execute(_factor_statement(wrapper.vendor), (user_id,)).fetchone() is not None


def rule_rows() -> list[tuple[Any, ...]]:
    """The enabled rules as stored, to see whether they have changed."""
    wrapper = opened()
    raw = wrapper.connection
    found: list[tuple[Any, ...]] = raw.execute(_rule_statement(wrapper.vendor)).fetchall()
    return found


def key_rows() -> list[tuple[Any, ...]]:
    """The signing keys, to see whether they have changed."""
    raw = opened().connection
    found: list[tuple[Any, ...]] = raw.execute(KEY_STATEMENT).fetchall()
    return found


def stored_id(value: UUID) -> Any:
    """An id as the database stores it."""
    return value.hex if opened().vendor == "sqlite" else value


UNREADABLE = ("?",)


def texts(value: Any) -> tuple[str, ...]:
    """A stored list of texts. Anything else is UNREADABLE, which is no scope and no network."""
    return _parsed(value) if isinstance(value, str) else _as_texts(value)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[str, ...]:
    try:
        return _as_texts(json.loads(text))
    except ValueError:
        return UNREADABLE


def _as_texts(value: Any) -> tuple[str, ...]:
    is_texts = isinstance(value, list) and all(isinstance(text, str) for text in value)
    return tuple(value) if is_texts else UNREADABLE


_OWN = len(fields(UserRow))
_KEYS = _table(SigningKey)
KEY_STATEMENT = (
    f"SELECT kid, CAST(active_from AS TEXT), CAST(retires_at AS TEXT) FROM {_KEYS} ORDER BY kid"  # noqa: S608
)


@cache
def _query(kind: str, vendor: str) -> tuple[str, Callable[..., Any]]:
    """(statement, class of the credential's columns)."""
    credential, seconds = CREDENTIALS[kind], SECONDS[vendor]
    # In SQLite a plus removes the declared type, and so a converter call for each value.
    sign, place = ("+", "?") if vendor == "sqlite" else ("", "%s")
    columns = (
        _block(credential.valid_from),
        f"""(SELECT MAX(COALESCE({seconds.format("b.until")}, {ENDLESS})) FROM {_table(Ban)} b
            WHERE b.user_id = u.id AND b.lifted_at IS NULL)""",  # noqa: S608
        *(f"{sign}u.{name}" for name in ("id", "email", "name", "role", "role_after")),
        # A service account has no address to verify.
        "(u.email_verified_at IS NOT NULL OR u.kind = 'service')",
        seconds.format("u.expires_at"),
        seconds.format("u.role_until"),
        _groups(vendor),
        *(
            seconds.format(column) if isinstance(column, Time) else f"{sign}{column}"
            for column in credential.columns
        ),
    )
    # Short names, because each row repeats them.
    named = ", ".join(f"{column} AS c{number}" for number, column in enumerate(columns))
    statement = f"""SELECT {named} FROM {credential.table} c
        JOIN {_table(User)} u ON u.id = c.user_id {credential.joined}
        WHERE {credential.condition.format(key=place)}"""  # noqa: S608 - names of our own tables
    return statement, credential.shape


def _block(column: str) -> str:
    """The order of accounts.access_policy.get_denial()."""
    outdated = f"WHEN c.created_at < u.{column} THEN 'token_invalid'" if column else ""
    is_key = column == "keys_valid_from"
    keys_only = "" if is_key else "WHEN u.kind = 'service' THEN 'service_account'"
    return f"""CASE WHEN NOT u.is_active THEN 'account_disabled'
        WHEN NOT u.setup_completed THEN 'setup_pending' {keys_only} {outdated} END"""


def _groups(vendor: str) -> str:
    """`finance=,staff=1790000000.5`: each membership of u with its end; NULL for none."""
    end = f"COALESCE(CAST({SECONDS[vendor].format('m.until')} AS TEXT), '')"
    join = "group_concat" if vendor == "sqlite" else "string_agg"
    return f"""(SELECT {join}(o.name || '=' || {end}, ',') FROM {_table(Membership)} m
        JOIN {_table(Group)} o ON o.id = m.group_id WHERE m.user_id = u.id)"""  # noqa: S608


@cache
def _factor_statement(vendor: str) -> str:
    place = "?" if vendor == "sqlite" else "%s"
    return f"SELECT 1 FROM {_table(Authenticator)} WHERE user_id = {place} LIMIT 1"  # noqa: S608


@cache
def _rule_statement(vendor: str) -> str:
    sign, join = ("+", "group_concat") if vendor == "sqlite" else ("", "string_agg")
    columns = ", ".join(f"{sign}{field.column}" for field in AccessRule._meta.concrete_fields)
    # A rule holds the ids of its groups, and is compared by their names: a new name counts, too.
    columns += f""", CASE WHEN CAST(group_ids AS TEXT) <> '[]' THEN (SELECT {join}(
        CAST(o.id AS TEXT) || '=' || o.name, ',') FROM {_table(Group)} o) END"""  # noqa: S608
    table = AccessRule._meta.db_table
    return f"SELECT {columns} FROM {table} WHERE is_enabled ORDER BY position, id"  # noqa: S608
