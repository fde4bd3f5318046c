"""Step 3 of a check: the credential of the request, authenticated with one query.

This is accounts.access_policy written out for one row, for speed. A test asks both about every
credential in every state, and requires equal answers.
"""

import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from accounts.actors import ANONYMOUS_ID
from accounts.services.second_factors import SecondFactorSetUpRequired
from accounts.sessions.store import PURPOSE as SESSION
from accounts.sessions.store import TOUCH_EVERY
from api.apikeys import key_format
from api.apikeys.authenticate import DUMMY_DIGEST
from api.apikeys.authenticate import PURPOSE as KEY
from api.authorization_header import own_credentials_of
from api.errors import AccessTokenExpired, AccessTokenInvalid
from api.permissions import Scope, effective_scopes
from api.tokens.jwt import AccessToken, claims_our_issuer, looks_like_token
from core.crypto.tokens import digest
from forward_auth.conf import Options, options
from forward_auth.decisions import NEVER, AuthFailure, AuthResult, Principal
from forward_auth.request import COOKIE_PURPOSE as FORWARD_AUTH_COOKIE
from forward_auth.request import ROLES, Environ, cookie_value
from forward_auth.sql import (
    KeyRow,
    UserRow,
    find_credential,
    has_second_factor,
    stored_id,
    texts,
)

# As PostgreSQL and SQLite return the id; see accounts.actors.
ANONYMOUS = frozenset({ANONYMOUS_ID, ANONYMOUS_ID.hex})
NOT_AUTHENTICATED = AuthFailure("", "not_authenticated")
NO_KEY = AuthFailure("key", "api_key_invalid")
NO_TOKEN = AuthFailure("token", "token_invalid")
# (kind, credential) each.
Credentials = tuple[tuple[str, str], ...]
TOUCH_SECONDS = TOUCH_EVERY.total_seconds()


class FastPathUnsupported(Exception):
    """Django has to answer: something must be written, or the credential is not our own."""


def extract_credentials(
    environ: Environ, config: Options, is_known_token: Callable[[str], bool]
) -> Credentials:
    """The credentials of a request, () for none. A second one counts if the first is wrong.

    is_known_token: whether the token was valid a moment ago, and so is our own. Raises
    FastPathUnsupported for several credentials, and for tokens of other issuers.
    """

    def is_ours(token: str) -> bool:
        if config.external_tokens_only and looks_like_token(token):
            raise FastPathUnsupported
        return is_known_token(token) or claims_our_issuer(token)

    found: Credentials = ()
    if "HTTP_X_API_KEY" in environ or "HTTP_AUTHORIZATION" in environ:
        keys, token = own_credentials_of(environ, is_ours)
        found = (*(("key", key) for key in keys), *((("token", token),) if token else ()))
    if "HTTP_COOKIE" in environ:
        header, name = environ["HTTP_COOKIE"], config.forward_auth_cookie
        session = cookie_value(header, config.session_cookie)
        cookie = cookie_value(header, name) if name else ""
        if found and (session or cookie):
            raise FastPathUnsupported
        found += ((SESSION, session),) if session else ()
        found += ((FORWARD_AUTH_COOKIE, cookie),) if cookie else ()
    if found and (config.requires_key_and_token or (len(found) > 1 and found[0][0] != SESSION)):
        raise FastPathUnsupported
    return found


def authenticate(kind: str, text: str, key: str, now: float) -> AuthResult:
    """Authenticate one credential. key: its digest, by which sessions are stored.

    Raises FastPathUnsupported; see _authenticate_browser().
    """
    if kind == "key":
        return _authenticate_key(text, now)
    if kind == "token":
        return _authenticate_token(text, now)
    return _authenticate_browser(kind, key, now)


def _authenticate_browser(kind: str, key: str, now: float) -> AuthResult:
    """Authenticate a session by the digest of its cookie, or of the cookie for other hosts.

    Raises FastPathUnsupported when its last activity has to be written, and when the row does not
    show that the session belongs to the user's present password and
    `credentials_valid_from`.
    """
    failure = AuthFailure(kind, "not_authenticated")
    found = find_credential(kind, key)
    if found is None:
        return failure
    session, user = found
    absolute_end = session.created_at + options().session_seconds
    if session.expires_at <= now or absolute_end < now:
        return failure
    expected = session_hash(session.password, session.credentials_valid_from)
    if not hmac.compare_digest(session.state, expected):
        raise FastPathUnsupported
    if account_block(user, now, is_key=False) is not None:
        return replace(failure, until=user.changes_at(now))
    touch_at = session.last_seen_at + TOUCH_SECONDS
    if now > touch_at:
        raise FastPathUnsupported
    until = min(session.expires_at, touch_at, absolute_end)
    return _principal(kind, user, now, until, str(session.public_id))


def session_hash(password: str, valid_from: datetime | str) -> str:
    """What binds a session to a password and `credentials_valid_from`, as the database returns it.

    Equals User.get_session_auth_hash(); a test compares them.
    """
    return _session_hash(options().session_hash_key, password, valid_from)


@lru_cache(maxsize=4096)
def _session_hash(key: bytes, password: str, valid_from: datetime | str) -> str:
    written = (
        f"{valid_from.replace(' ', 'T')}+00:00"
        if isinstance(valid_from, str)
        else valid_from.isoformat()
    )
    return hmac.digest(key, f"{password}:{written}".encode(), "sha256").hex()


def _authenticate_key(text: str, now: float) -> AuthResult:
    """Authenticate an API key. Its networks are checked for each request, by the checker."""
    parts = key_format.parse(text)
    if parts is None:
        return NO_KEY
    found = find_credential("key", parts.id)
    # An unknown id takes the same time as a wrong secret.
    stored = found[0].digest if found else DUMMY_DIGEST
    is_right = hmac.compare_digest(stored, digest(KEY, parts.digest_input))
    if found is None or not is_right:
        return NO_KEY
    return _result_for_key(parts.id, *found, now)


def authenticate_known_key(key_id: str, now: float) -> AuthResult:
    """What authenticate() returns for the key with that id, to a caller who does not know it."""
    found = find_credential("key", key_id)
    return NO_KEY if found is None else _result_for_key(key_id, *found, now)


def _result_for_key(key_id: str, key: KeyRow, user: UserRow, now: float) -> AuthResult:
    until = NEVER if key.expires_at is None else key.expires_at
    if until <= now:
        return NO_KEY
    networks = texts(key.networks)
    block = account_block(user, now, is_key=True)
    if block is not None:
        if block == "token_invalid":
            return NO_KEY
        return replace(_blocked("key", block, user, now), networks=networks)
    may_read, may_write = _may_read_and_write(texts(key.scopes), user.role_at(now))
    of_key = (networks, may_read, may_write, key.last_used_at)
    return _principal("key", user, now, until, key_id, *of_key)


def _authenticate_token(text: str, now: float) -> AuthResult:
    """Authenticate an access token of our own."""
    try:
        token = AccessToken.read(text)
        family_id, user_id = token.identifier("sid"), token.identifier("sub")
    except AccessTokenExpired:
        return AuthFailure("token", "token_expired")
    except AccessTokenInvalid:
        return NO_TOKEN
    found = find_credential("token", stored_id(family_id))
    if found is None or _dashed(found[1].id) != str(user_id):
        return NO_TOKEN
    family, user = found
    until = min(family.expires_at, token.payload["exp"])
    if until <= now:
        return NO_TOKEN
    block = account_block(user, now, is_key=False)
    if block is not None:
        return NO_TOKEN if block == "token_invalid" else _blocked("token", block, user, now)
    if family.session_id is not None:
        if family.session_end is None or family.session_end <= now:
            return NO_TOKEN
        until = min(until, family.session_end)
    return _principal("token", user, now, until, str(family_id))


def account_block(user: UserRow, now: float, *, is_key: bool) -> str | None:
    """Why the user may not act now, or None: the code of accounts.access_policy.get_denial().

    Except for API keys, a required second factor that is missing counts as well.
    """
    block = user.block
    if user.id in ANONYMOUS:
        is_on = block != "account_disabled" and user.role == options().anonymous_role
        return None if is_on else "account_disabled"
    if block != "account_disabled" and user.expires_at is not None and user.expires_at <= now:
        return "account_expired"
    if block is not None:
        return block
    if user.banned_until is not None and user.banned_until > now:
        return "banned"
    return None if is_key else _missing_factor(user, now)


def _missing_factor(user: UserRow, now: float) -> str | None:
    if user.role_at(now) not in options().mfa_required_roles or has_second_factor(user.id):
        return None
    return SecondFactorSetUpRequired.code


def _principal(
    kind: str, user: UserRow, now: float, until: float, credential_id: str, *of_key: Any
) -> Principal:
    """of_key: the further fields of a Principal, which only keys have."""
    changes_at = user.changes_at(now)
    return Principal(
        kind,
        _dashed(user.id),
        user.email,
        user.name,
        ROLES[user.role_at(now)],
        bool(user.is_verified) or user.id in ANONYMOUS,
        min(until, changes_at),
        changes_at,
        credential_id,
        user.groups_at(now),
        *of_key,
    )


def _blocked(kind: str, code: str, user: UserRow, now: float) -> AuthFailure:
    until = user.changes_at(now)
    return AuthFailure(kind, code, credential_valid=True, user_id=_dashed(user.id), until=until)


def _may_read_and_write(scopes: tuple[str, ...], role: str) -> tuple[bool, bool]:
    allowed = effective_scopes(scopes, role)
    return Scope.READ in allowed, Scope.WRITE in allowed


@lru_cache(maxsize=4096)
def _dashed(value: Any) -> str:
    """A user id as text. SQLite stores 32 digits, and UUID() costs as much as the look-up."""
    if isinstance(value, UUID):
        return str(value)
    return f"{value[:8]}-{value[8:12]}-{value[12:16]}-{value[16:20]}-{value[20:]}"
