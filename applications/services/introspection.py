"""Whose credential an app was sent (RFC 7662): an API key, an access token, a browser session.

Each kind has a reader, which asks the same policy as a request with that credential. Other apps
name readers of their own in settings.CREDENTIAL_READERS. A question writes nothing but the last use
of a key.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string

from accounts.models import BrowserSession, User
from accounts.roles import Role
from accounts.services.groups.reading import current_groups
from accounts.services.sessions import user_of_session
from accounts.sessions.store import PURPOSE as SESSION
from accounts.sessions.store import SessionStore
from api.apikeys.authenticate import context_for_key, known_key
from api.authentication import JWTAuthentication, context_for_token
from api.authorization_header import KEY_PREFIX
from api.errors import AccessTokenInvalid, ApiKeyInvalid, NotAuthenticated
from api.external_jwt.verify import ExternalToken
from api.permissions import Scope, scopes_of
from api.tokens.jwt import CLIENT_ID
from applications.models import App
from core.crypto.tokens import digest
from core.errors import AccessDenied, Forbidden

# Why a credential is not active. Anything else, such as a directory that is down, is an error.
INACTIVE = (AccessDenied, AccessTokenInvalid, ApiKeyInvalid, Forbidden, NotAuthenticated)
KEY, TOKEN, BROWSER = "api_key", "access_token", "session"
# Of tokens; what is not here is told for every credential.
TOKEN_CLAIMS = ("aud", "iat", "jti", "nbf")


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential that works now.

    claims: what is told of it beside its user, as RFC 7662 names it. ends: when it stops working
    by itself. hidden: what is not told of the user. only_for: the id of the only app that is told
    of it. others: what other apps are told in its place, by their ids. is_kept: whether the answer
    may be reused while no watched table changes.
    """

    user: User
    token_type: str
    claims: dict[str, Any] = field(repr=False)
    ends: tuple[datetime, ...] = ()
    hidden: frozenset[str] = frozenset()
    only_for: UUID | None = None
    others: "Mapping[UUID, Credential]" = field(default_factory=dict)
    is_kept: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What an app is told.

    until: when the answer may be another one, though nothing changes. is_kept: see Credential.
    """

    claims: dict[str, Any] = field(repr=False)
    until: datetime
    is_kept: bool = True


# From the text and the address of the client ("" if the app does not say) to the credential; None
# if it is not of this kind. May raise INACTIVE.
Reader = Callable[[str, str, datetime], Credential | None]


@cache
def _further(paths: tuple[str, ...]) -> list[Reader]:
    return [import_string(path) for path in paths]


def introspect(text: str, app: App, client_ip: str = "") -> Answer | None:
    """What `app` is told about a credential; None if it does not let its user in now.

    None also for users without a role, whom forward auth refuses everywhere. client_ip: whence the
    app was sent it, which keys that are limited to networks need.
    """
    now = timezone.now()
    try:
        readers = [read_key, read_token, read_session, *_further(settings.CREDENTIAL_READERS)]
        credential = next(filter(None, (reader(text, client_ip, now) for reader in readers)), None)
    except INACTIVE:
        return None
    if credential is None:
        return None
    if credential.only_for != app.pk:
        credential = credential.others.get(app.pk, credential)
    if credential.only_for not in (None, app.pk):
        return None
    if app.is_self_registered and credential.only_for is None:
        # No owner has let it ask about keys and sessions, which were not made for it.
        return None
    if not _may_enter(credential.user):
        return None
    return _answer(credential, now)


def read_key(text: str, client_ip: str, now: datetime) -> Credential | None:
    """An API key. The quota of the key is for requests to Gatehouse, so this does not count."""
    if not text.startswith(KEY_PREFIX):
        return None
    key = known_key(text, client_ip, now)
    ends = (key.expires_at,) if key.expires_at else ()
    claims = {
        "scope": _written(context_for_key(key).scopes),
        "client_id": CLIENT_ID,
        "iat": _seconds(key.created_at),
        "jti": key.pk,
    }
    return Credential(key.user, KEY, claims, ends)


def read_token(text: str, _client_ip: str, _now: datetime) -> Credential | None:
    """An access token of ours, or of a configured issuer."""
    if text.count(".") != 2:
        return None
    token = JWTAuthentication().get_validated_token(text)
    context = context_for_token(token)
    claims = {name: token.payload[name] for name in TOKEN_CLAIMS if name in token.payload}
    claims["client_id"] = str(token.payload.get("client_id", CLIENT_ID))
    if isinstance(token, ExternalToken):
        claims["external_iss"] = token.claims.issuer
    claims["scope"] = _written(scopes_of(Role(context.user.role)))
    return Credential(
        context.user, TOKEN, claims, (datetime.fromtimestamp(token.payload["exp"], UTC),)
    )


def read_session(text: str, _client_ip: str, now: datetime) -> Credential | None:
    """The value of the session cookie. Asking is no activity of the person: it extends nothing."""
    row = SessionStore.find_row(digest(SESSION, text))
    return None if row is None else session_credential(row, now)


def session_credential(row: BrowserSession, now: datetime) -> Credential | None:
    """What is told about a browser session that has not expired; None if it has ended otherwise."""
    store = SessionStore.read_only(row)
    user = user_of_session(store)
    if user is None or store.is_past_absolute_end(now) or settings.REQUIRE_API_KEY_AND_TOKEN:
        return None
    claims = {
        "scope": _written(scopes_of(Role(user.role))),
        "client_id": CLIENT_ID,
        "iat": _seconds(row.created_at),
        "jti": str(row.public_id),
    }
    absolute_end = row.created_at + settings.SESSION_ABSOLUTE_TIMEOUT
    return Credential(user, BROWSER, claims, (row.expire_date, absolute_end))


def _may_enter(user: User) -> bool:
    has_no_address = user.is_built_in or user.is_service
    is_verified = user.is_verified or has_no_address or settings.ALLOW_UNVERIFIED_EMAIL_LOGIN
    return is_verified and Role(user.role) is not Role.NONE


def _answer(credential: Credential, now: datetime) -> Answer:
    user = credential.user
    groups = current_groups(user, now)
    ends = [*credential.ends, *((user.expires_at,) if user.expires_at else ())]
    claims = {
        "active": True,
        "token_type": credential.token_type,
        "iss": settings.PUBLIC_URL,
        "sub": str(user.pk),
        "username": user.username or user.email,
        "email": user.address or "",
        "email_verified": user.is_verified,
        "name": user.name,
        "role": user.role,
        "groups": list(groups.names),
        **credential.claims,
    }
    if ends:
        claims["exp"] = _seconds(min(ends))
    for name in credential.hidden:
        del claims[name]
    changes = [end for end in (*ends, user.next_end(now), groups.next_end) if end is not None]
    until = min(changes, default=now + timedelta(days=1))
    return Answer(claims, until, credential.is_kept)


def _written(scopes: frozenset[Scope]) -> str:
    return " ".join(scope for scope in Scope if scope in scopes)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
