"""Authenticate a request: the only place that reads credentials; DRF's authentication classes.

A wrong credential is refused, never ignored, whichever of the classes a view lists. Credentials are
read from headers and the session cookie only, never from the URL or the body, which end up in logs
(A123).
"""

import uuid
from contextlib import suppress
from functools import reduce
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth import get_user
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication as SimpleJWTAuthentication
from rest_framework_simplejwt.tokens import Token

from accounts.models import User
from accounts.rate_limits import check_rate_limit
from accounts.services.anonymous import visitor
from accounts.sessions.store import DEVICE, SessionStore
from api.apikeys.authenticate import ApiKeyMalformed, authenticate_key, context_for_key
from api.authorization_header import Credentials, credentials_of
from api.errors import AccessTokenInvalid, ApiKeyInvalid, CsrfFailed, NotAuthenticated
from api.external_jwt import is_external
from api.external_jwt.users import find_or_create_user
from api.external_jwt.verify import ExternalToken
from api.permissions import AuthContext, Scope, combine, require_account_access
from api.tokens.jwt import AccessToken
from api.tokens.refresh_tokens import family_of_access
from core.row_cache import reuse_rows
from core.web.csrf import CsrfMiddleware
from core.web.request_context import get_request_context

# The id of a session that no sign-in of ours created. No row has it, so such a session never
# counts as recently authenticated.
UNKNOWN_SESSION = uuid.UUID(int=0)
# `users` is for own API keys; endpoints about other users also require an administrator.
VISITOR_SCOPES = frozenset({Scope.READ, Scope.WRITE, Scope.USERS})


class CredentialAuthentication(BaseAuthentication):
    """Base of the classes below: DRF asks each for its kind of credential.

    The first one that finds its kind authenticates all credentials of the request together.
    openapi_schemes: their names in the description of the API.
    """

    openapi_schemes: ClassVar[tuple[str, ...]] = ()

    def is_sent(self, request: HttpRequest) -> bool:
        """Whether the request has this kind of credential. Verifies nothing."""
        raise NotImplementedError

    def authenticate(self, request: Request) -> tuple[User, AuthContext] | None:
        """Return the user and the context, which are `request.user` and `request.auth`."""
        http = request._request
        if not self.is_sent(http):
            return None
        with reuse_rows(http.method in SAFE_METHODS):
            found = find_auth(http)
        return None if found is None else (found.user, found)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class APIKeyAuthentication(CredentialAuthentication):
    """An API key: `X-API-Key`, `Authorization: Bearer`, or the password of `Basic`."""

    openapi_schemes = ("apiKey", "basic")

    def is_sent(self, request: HttpRequest) -> bool:
        return bool(credentials_of(request.META).keys)


class JWTAuthentication(  # type: ignore[misc]  # `request.auth` is the context, not the token
    CredentialAuthentication, SimpleJWTAuthentication
):
    """An access token of ours, or of a configured issuer: simplejwt's class for both."""

    openapi_schemes = ("bearer",)

    def is_sent(self, request: HttpRequest) -> bool:
        return credentials_of(request.META).token is not None

    def get_validated_token(self, raw_token: Any) -> Token:
        """Raises AccessTokenInvalid, AccessTokenExpired."""
        if is_external(raw_token):
            return ExternalToken.read(raw_token)
        return super().get_validated_token(raw_token)

    def get_user(self, validated_token: Token) -> Any:
        """Return the user of a live sign-in. Raises what context_for_token() does."""
        return context_for_token(validated_token).user


class SessionAuthentication(CredentialAuthentication):
    """The browser session; without one the anonymous user, in no-login mode."""

    openapi_schemes = ("session",)

    def is_sent(self, request: HttpRequest) -> bool:
        is_excluded = settings.REQUIRE_API_KEY_AND_TOKEN
        return not is_excluded and credentials_of(request.META).is_empty


def authenticate(request: HttpRequest, credentials: Credentials | None = None) -> AuthContext:
    """Like find_auth(); raises NotAuthenticated without credentials."""
    found = find_auth(request, credentials)
    if found is None:
        raise NotAuthenticated
    return found


def find_auth(request: HttpRequest, credentials: Credentials | None = None) -> AuthContext | None:
    """Return the context of a request from all its credentials together; None without any.

    credentials: the credentials of the headers, if the caller has read them by its own rules.
    With REQUIRE_API_KEY_AND_TOKEN a request needs both a key and a token. Raises NotAuthenticated
    if one of them is missing; AccessTokenInvalid, AccessTokenExpired, ApiKeyInvalid, RateLimited,
    AccessDenied, CsrfFailed.
    """
    given = credentials_of(request.META) if credentials is None else credentials
    contexts = [_by_key(request, key) for key in given.keys]
    if given.token is not None:
        contexts.append(context_for_token(JWTAuthentication().get_validated_token(given.token)))
    if settings.REQUIRE_API_KEY_AND_TOKEN and (not given.keys or given.token is None):
        raise NotAuthenticated
    session = session_of(request)
    if contexts:
        auth = reduce(combine, contexts)
        if session is not None:
            combine(auth, session)  # only to refuse a session of another user
        return auth
    if session is None:
        return _anonymous(request)
    check_csrf(request)
    return session


def _anonymous(request: HttpRequest) -> AuthContext | None:
    """The context of the anonymous user; None unless no-login mode is on.

    A page of another site must not act through the browser of a visitor.
    """
    user = visitor(get_request_context().ip)
    if user is None:
        return None
    if request.method not in SAFE_METHODS:
        require_same_origin(request)
    return AuthContext(user=user, scopes=VISITOR_SCOPES)


def context_for_token(token: Token) -> AuthContext:
    """The context of a validated token.

    May create the account of an external token. Raises AccessTokenInvalid, AccessDenied, Forbidden.
    """
    if isinstance(token, ExternalToken):
        user = find_or_create_user(token.claims)
        require_account_access(user, token.claims.issued_at)
        return AuthContext(user=user, has_token=True, claims=token.payload)
    if not isinstance(token, AccessToken):
        raise AccessTokenInvalid
    family = family_of_access(token)
    return AuthContext(
        user=family.user,
        session_id=family.pk,
        browser_session=family.session_id,
        has_token=True,
        claims=token.payload,
    )


def _by_key(request: HttpRequest, text: str) -> AuthContext:
    """Authenticate an API key.

    Wrong keys count against the client, which gets 429 after too many. A valid key is never
    blocked by them, because many programs share one address.
    """
    try:
        return context_for_key(authenticate_key(text, get_request_context().ip))
    except ApiKeyMalformed:
        raise  # detected without a query, so it does not count
    except ApiKeyInvalid:
        check_rate_limit(request, "api-key")
        raise


def session_of(request: HttpRequest) -> AuthContext | None:
    """The context of the browser session; None also for an ended one.

    A browser sends its cookie with every request, so an ended session is not an error.
    """
    cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if not cookie:
        return None
    session = SessionStore(cookie)
    request.session = session
    user = get_user(request)
    now = timezone.now()
    if not isinstance(user, User) or session.is_past_absolute_end(now):
        return None
    if session.is_stale(now):
        with suppress(DatabaseError):  # a read-only database must not sign users out
            session.save()
    name = uuid.UUID(session[DEVICE]["id"]) if DEVICE in session else UNKNOWN_SESSION
    return AuthContext(user=user, session_id=name, browser_session=name)


def check_csrf(request: HttpRequest) -> None:
    """Raise CsrfFailed unless one of our pages, or of a trusted origin, sent this request."""
    check = _CsrfCheck(_no_response)
    check.process_request(request)
    if check.process_view(request, _no_response, (), {}) is not None:
        raise CsrfFailed


def require_same_origin(request: HttpRequest) -> None:
    """Raise CsrfFailed if the browser says that another site's page sent this request.

    For requests with the refresh cookie, which is SameSite=Strict as well. Programs other than
    browsers send none of these headers.
    """
    origin = request.headers.get("Origin")
    if origin is not None:
        if origin not in settings.CSRF_TRUSTED_ORIGINS:
            raise CsrfFailed
    elif request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise CsrfFailed


class _CsrfCheck(CsrfMiddleware):
    """Django's check, returning the reason instead of a response."""

    def _reject(self, _request: HttpRequest, reason: str) -> str:
        return reason


def _no_response(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()
