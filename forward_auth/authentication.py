"""From one credential to a Pass, or to the reason why there is none; the same as the one gate.

This is accounts.access_policy written out for one row, for the sake of its speed. A test asks
both about every credential in every state and finds no difference.
"""

import hmac
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from accounts.anonymous import ANONYMOUS_ID
from accounts.roles import Role
from accounts.services.second_factors import SecondFactorSetUpRequired
from accounts.session_store import PURPOSE as SESSION
from accounts.session_store import TOUCH_EVERY
from api.apikeys import key_format
from api.apikeys.authenticate import DUMMY_DIGEST
from api.apikeys.authenticate import PURPOSE as KEY
from api.errors import AccessTokenExpired, AccessTokenInvalid
from api.permissions import Scope, scopes_of
from api.tokens.jwt import AccessToken
from api.tokens.refresh_tokens import access_backend
from core.tokens import digest
from forward_auth.conf import options
from forward_auth.cookies import PURPOSE as GATE
from forward_auth.session_hash import state_hash
from forward_auth.sql import NEVER, KeyRow, Person, find, has_factor, stored_id, texts

# As PostgreSQL and SQLite give its id; see accounts.anonymous.
ANONYMOUS = frozenset({ANONYMOUS_ID, ANONYMOUS_ID.hex})


# Made and read in each check: with slots that takes two thirds of the time of a NamedTuple, and
# less than half of that of a frozen class.
@dataclass(slots=True, unsafe_hash=True)
class Pass:
    """A person who may act. until: seconds since 1970, after which nothing of this holds.

    user_id: with its dashes, as it goes out.
    networks: whence the credential works, () is everywhere. may_read, may_write: by its scopes.
    credential_id: of the session, token family or key; none of it is a secret. A session's has its
    dashes or not, as it was stored. used_at: when the use of a key was last written down.
    """

    kind: str
    user_id: str
    email: str
    name: str
    role: Role
    is_verified: bool
    until: float
    credential_id: str = ""
    networks: tuple[str, ...] = ()
    may_read: bool = True
    may_write: bool = True
    used_at: float | None = None


@dataclass(slots=True)
class Refusal:
    """Why not. is_known: the credential is right, but its person may not act now."""

    kind: str
    code: str
    is_known: bool = False
    user_id: str | None = None
    networks: tuple[str, ...] = ()


Outcome = Pass | Refusal
NO_KEY, NO_TOKEN = Refusal("key", "api_key_invalid"), Refusal("token", "token_invalid")
TOUCH_SECONDS = TOUCH_EVERY.total_seconds()
ROLES = {role.value: role for role in Role}


class FastPathUnsupported(Exception):
    """The short way does not know: something has to be written, or is not of ours."""


def by_session(key: str, now: float) -> Outcome:
    """What the session is worth whose cookie has the digest `key`.

    Raises FastPathUnsupported when its activity is to be written, and when its row does not say in
    short that it holds for the person's present password and mark.
    """
    return _by_browser(SESSION, key, now)


def by_gate(key: str, now: float) -> Outcome:
    """What the cookie of apps on other hosts is worth: the session that it was made for."""
    return _by_browser(GATE, key, now)


def _by_browser(kind: str, key: str, now: float) -> Outcome:
    nobody = Refusal(kind, "not_authenticated")
    found = find(kind, key)
    if found is None:
        return nobody
    session, person = found
    over = session.created_at + options().session_seconds
    if session.expires_at <= now or over < now:
        return nobody
    if not hmac.compare_digest(
        session.state, state_hash(session.password, session.credentials_valid_from)
    ):
        raise FastPathUnsupported
    if _closed(person, now, is_key=False) is not None:
        return nobody
    touch_at = session.last_seen_at + TOUCH_SECONDS
    if now > touch_at:
        raise FastPathUnsupported
    end = min(session.expires_at, touch_at, over)
    return _pass(kind, person, end, str(session.public_id))


def by_key(text: str, now: float) -> Outcome:
    """What an API key is worth; its networks are looked at for each request."""
    parts = key_format.parse(text)
    if parts is None:
        return NO_KEY
    found = find("key", parts.id)
    kept = found[0].digest if found else DUMMY_DIGEST
    is_right = hmac.compare_digest(kept, digest(KEY, parts.proof))
    return _key_worth(parts.id, *found, now) if found is not None and is_right else NO_KEY


def by_key_id(key_id: str, now: float) -> Outcome:
    """What the key of that id is worth to whoever holds it; for operators who try something."""
    found = find("key", key_id)
    return _key_worth(key_id, *found, now) if found is not None else NO_KEY


def _key_worth(key_id: str, key: KeyRow, person: Person, now: float) -> Outcome:
    end = NEVER if key.expires_at is None else key.expires_at
    if end <= now:
        return NO_KEY
    closed = _closed(person, now, is_key=True)
    if closed is not None:
        if closed == "token_invalid":
            return NO_KEY
        return replace(_known("key", closed, person), networks=texts(key.networks))
    may_read, may_write = _reach(texts(key.scopes), person.role)
    networks = texts(key.networks)
    return _pass("key", person, end, key_id, networks, may_read, may_write, key.last_used_at)


def by_token(text: str, now: float) -> Outcome:
    """What an access token of ours is worth."""
    try:
        token = AccessToken.read(access_backend, text, datetime.fromtimestamp(now, UTC))
        family_id, user_id = token.identifier("sid"), token.identifier("sub")
    except AccessTokenExpired:
        return Refusal("token", "token_expired")
    except AccessTokenInvalid:
        return NO_TOKEN
    found = find("token", stored_id(family_id))
    if found is None or _dashed(found[1].id) != str(user_id):
        return NO_TOKEN
    family, person = found
    end = min(family.expires_at, token.payload["exp"])
    if end <= now:
        return NO_TOKEN
    closed = _closed(person, now, is_key=False)
    if closed is not None:
        return NO_TOKEN if closed == "token_invalid" else _known("token", closed, person)
    if family.session_id is not None:
        if family.session_end is None or family.session_end <= now:
            return NO_TOKEN
        end = min(end, family.session_end)
    return _pass("token", person, end, str(family_id))


def _closed(person: Person, now: float, *, is_key: bool) -> str | None:
    """The code of gates.refusal() for this row, and then of a missing factor."""
    closed = person.closed
    if person.id in ANONYMOUS:
        is_on = closed != "account_disabled" and person.role == options().anonymous_role
        return None if is_on else "account_disabled"
    if closed is not None:
        return closed
    if person.banned_until is not None and person.banned_until > now:
        return "banned"
    if is_key or person.role not in options().factor_roles or has_factor(person.id):
        return None
    return SecondFactorSetUpRequired.code


def _pass(kind: str, person: Person, until: float, credential_id: str, *of_key: Any) -> Pass:
    """of_key: what a Pass has besides."""
    return Pass(
        kind,
        _dashed(person.id),
        person.email,
        person.name,
        ROLES[person.role],
        bool(person.is_verified) or person.id in ANONYMOUS,
        until,
        credential_id,
        *of_key,
    )


def _known(kind: str, code: str, person: Person) -> Refusal:
    return Refusal(kind, code, is_known=True, user_id=_dashed(person.id))


@lru_cache(maxsize=256)
def _reach(scopes: tuple[str, ...], role: str) -> tuple[bool, bool]:
    """May a key with these scopes of somebody with that role read, and write?"""
    left = frozenset(scopes) & scopes_of(Role(role))
    return Scope.READ in left, Scope.WRITE in left


@lru_cache(maxsize=4096)
def _dashed(value: Any) -> str:
    """The id of a person as text; SQLite keeps 32 digits, and UUID() costs as much as the look-up.

    Most credentials are of the same people.
    """
    if isinstance(value, UUID):
        return str(value)
    return f"{value[:8]}-{value[8:12]}-{value[12:16]}-{value[16:20]}-{value[20:]}"
