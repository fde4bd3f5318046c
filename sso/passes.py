"""From one credential to a Pass, or to the reason why there is none; the same as the one gate.

This is the gate of accounts.gates written out for one row, for the sake of its speed. A test asks
both about every credential in every state and finds no difference.
"""

import hmac
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

from accounts.anonymous import ANONYMOUS_ID
from accounts.roles import Role
from accounts.services.authenticators import SecondFactorSetUpRequired
from accounts.services.sessions import BACKEND
from accounts.sessions import PURPOSE as SESSION
from accounts.sessions import SIGNED_IN_AT, TOUCH_EVERY
from accounts.tokens import digest
from api import keyformat
from api.access import Scope, scopes_of
from api.errors import AccessTokenExpired, AccessTokenInvalid
from api.services.families import access_backend
from api.services.keychecks import NOBODYS
from api.services.keychecks import PURPOSE as KEY
from api.tokens import AccessToken
from sso.cookies import PURPOSE as GATE
from sso.queries import Found, find, moment, seconds, texts
from sso.sessiondata import decoded, state_hash

# As PostgreSQL and SQLite give its id; see accounts.anonymous.
ANONYMOUS = frozenset({ANONYMOUS_ID, ANONYMOUS_ID.hex})


class Pass(NamedTuple):
    """A person who may act. until: seconds since 1970, after which nothing of this holds.

    networks: whence the credential works, () is everywhere. may_read, may_write: by its scopes.
    credential_id: of the session, token family or key; none of it is a secret. used_at: when the
    use of a key was last written down.
    """

    kind: str
    user_id: UUID
    email: str
    name: str
    role: Role
    is_verified: bool
    until: float
    networks: tuple[str, ...] = ()
    may_read: bool = True
    may_write: bool = True
    credential_id: str = ""
    used_at: datetime | None = None


class Refusal(NamedTuple):
    """Why not. is_known: the credential is right, but its person may not act now."""

    kind: str
    code: str
    is_known: bool = False
    user_id: UUID | None = None
    networks: tuple[str, ...] = ()


Outcome = Pass | Refusal


class AskDjango(Exception):
    """The short way does not know: something has to be written, or is not of ours."""


def by_session(cookie: str, now: datetime) -> Outcome:
    """What a session cookie is worth. Raises AskDjango when its activity is to be written."""
    return _by_browser("session", digest(SESSION, cookie), now)


def by_gate(cookie: str, now: datetime) -> Outcome:
    """What the cookie of apps on other hosts is worth: the session that it was made for."""
    return _by_browser("gate", digest(GATE, cookie), now)


def _by_browser(kind: str, key: str, now: datetime) -> Outcome:
    nobody = Refusal(kind, "not_authenticated")
    found = find(kind, key, now)
    if found is None:
        return nobody
    end = seconds(found.own.expire_date)
    data = decoded(found.own.session_data)
    if end is None or end <= now.timestamp() or not _is_signed_in(data, found):
        return nobody
    absolute_end = _absolute_end(data)
    if absolute_end is not None and absolute_end < now.timestamp():
        return nobody
    if _closed(found, None, is_key=False) is not None:
        return nobody
    touch_at = (seconds(found.own.last_seen_at) or 0) + TOUCH_EVERY.total_seconds()
    if now.timestamp() > touch_at:
        raise AskDjango
    end = min(end, touch_at, absolute_end or end)
    return _pass(kind, found, end, credential_id=_dashed(found.own.public_id))


def by_key(text: str, now: datetime) -> Outcome:
    """What an API key is worth; its networks are looked at for each request."""
    invalid = Refusal("key", "api_key_invalid")
    parts = keyformat.parse(text)
    if parts is None:
        return invalid
    found = find("key", parts.id, now)
    kept = found.own.digest if found else NOBODYS
    is_right = hmac.compare_digest(kept, digest(KEY, parts.proof))
    return _key_worth(found, now) if found is not None and is_right else invalid


def by_key_id(key_id: str, now: datetime) -> Outcome:
    """What the key of that id is worth to whoever holds it; for operators who try something."""
    found = find("key", key_id, now)
    return _key_worth(found, now) if found is not None else Refusal("key", "api_key_invalid")


def _key_worth(found: Found, now: datetime) -> Outcome:
    invalid = Refusal("key", "api_key_invalid")
    end = seconds(found.own.expires_at) or float("inf")
    if found.own.revoked_at is not None or end <= now.timestamp():
        return invalid
    closed = _closed(found, moment(found.own.created_at), is_key=True)
    if closed is not None:
        if closed == "token_invalid":
            return invalid
        return _known("key", closed, found)._replace(networks=texts(found.own.networks))
    scopes = frozenset(texts(found.own.scopes)) & scopes_of(Role(found.person.role))
    return _pass(
        "key",
        found,
        end,
        networks=texts(found.own.networks),
        may_read=Scope.READ in scopes,
        may_write=Scope.WRITE in scopes,
        credential_id=found.own.id,
        used_at=moment(found.own.last_used_at) if found.own.last_used_at else None,
    )


def by_token(text: str, now: datetime) -> Outcome:
    """What an access token of ours is worth."""
    try:
        token = AccessToken.read(access_backend, text, now)
        family_id, user_id = token.identifier("sid"), token.identifier("sub")
    except AccessTokenExpired:
        return Refusal("token", "token_expired")
    except AccessTokenInvalid:
        return Refusal("token", "token_invalid")
    invalid = Refusal("token", "token_invalid")
    found = find("token", _stored_id(family_id), now)
    if found is None or found.own.ended_at is not None or _id(found.own.user_id) != user_id:
        return invalid
    end = min(seconds(found.own.expires_at) or 0, token.payload["exp"])
    if end <= now.timestamp():
        return invalid
    closed = _closed(found, moment(found.own.created_at), is_key=False)
    if closed is not None:
        return invalid if closed == "token_invalid" else _known("token", closed, found)
    if found.own.session_id is not None:
        session_end = seconds(found.session_end)
        if session_end is None or session_end <= now.timestamp():
            return invalid
        end = min(end, session_end)
    return _pass("token", found, end, credential_id=str(family_id))


def _closed(found: Found, credential_at: datetime | None, *, is_key: bool) -> str | None:
    """The code of gates.refusal() for this row, in its order, and then of a missing factor."""
    person = found.person
    if not person.is_active:
        return "account_disabled"
    if person.id in ANONYMOUS:
        return None if person.role == settings.ANONYMOUS_ROLE else "account_disabled"
    if not person.is_claimed:
        return "setup_pending"
    mark = person.keys_not_before if is_key else person.not_before
    if credential_at is not None and credential_at < moment(mark):
        return "token_invalid"
    if found.is_banned:
        return "banned"
    if is_key or found.has_factor or person.role not in settings.MFA_REQUIRED_ROLES:
        return None
    return SecondFactorSetUpRequired.code


def _pass(kind: str, found: Found, until: float, **scope: Any) -> Pass:
    person = found.person
    return Pass(
        kind=kind,
        user_id=_id(person.id),
        email=person.email,
        name=person.name,
        role=Role(person.role),
        is_verified=person.email_verified_at is not None or person.id in ANONYMOUS,
        until=until,
        **scope,
    )


def _known(kind: str, code: str, found: Found) -> Refusal:
    return Refusal(kind, code, is_known=True, user_id=_id(found.person.id))


def _is_signed_in(data: dict[str, Any], found: Found) -> bool:
    """As django.contrib.auth.get_user() has it."""
    if data.get(SESSION_KEY) != _dashed(found.own.user_id):
        return False
    if data.get(BACKEND_SESSION_KEY) != BACKEND:
        return False
    own = state_hash(found.person.password, moment(found.person.not_before))
    return hmac.compare_digest(data.get(HASH_SESSION_KEY, ""), own)


def _absolute_end(data: dict[str, Any]) -> float | None:
    signed_in_at = data.get(SIGNED_IN_AT)
    if signed_in_at is None:
        return None
    end: datetime = datetime.fromisoformat(signed_in_at) + settings.SESSION_ABSOLUTE_TIMEOUT
    return end.timestamp()


def _id(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


def _dashed(value: Any) -> str:
    """A stored UUID as text; SQLite keeps 32 digits, and UUID() costs as much as the look-up."""
    if isinstance(value, UUID):
        return str(value)
    return f"{value[:8]}-{value[8:12]}-{value[12:16]}-{value[16:20]}-{value[20:]}"


def _stored_id(value: UUID) -> Any:
    return value.hex if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3") else value
