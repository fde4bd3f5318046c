"""Authenticates a check in Django, by the same code as the API. The fast path must agree with it.

It supports what the fast path does not (several credentials at once, tokens of other issuers), and
it writes the last activity of a session and the use of a key.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from accounts.roles import Role
from accounts.services.groups.reading import current_groups
from api import external_jwt
from api.authentication import authenticate, session_of
from api.authorization_header import own_credentials_of
from api.errors import (
    AccessTokenExpired,
    AccessTokenInvalid,
    ApiKeyInvalid,
    NotAuthenticated,
)
from api.permissions import AuthContext, Scope, combine
from api.tokens.jwt import claims_our_issuer
from core.errors import AccessDenied, Forbidden, RateLimited
from forward_auth.conf import options
from forward_auth.decisions import NEVER, AuthFailure, AuthResult, Principal
from forward_auth.request import cookie_value
from forward_auth.services.cookies import user_by_forward_auth_cookie

# The result is not cached, so it needs no end.
NOT_CACHED = 0.0


def authenticate_with_django(request: HttpRequest) -> AuthResult:
    """A Principal, or why there is none. Counts wrong keys, as the API does.

    Ignores credentials that are not ours, such as the tokens of the app behind the proxy.
    """
    credentials = own_credentials_of(request.META, is_own_token)
    cookie = _cookie_without_session(request)
    if cookie and credentials.is_empty and not settings.REQUIRE_API_KEY_AND_TOKEN:
        found = _by_cookie(cookie)
        # An invalid one counts as none, because browsers send cookies on their own.
        if isinstance(found, Principal) or settings.ANONYMOUS_ROLE is None:
            return found

    def authenticate_together() -> AuthContext:
        access = authenticate(request, credentials)
        if cookie and not credentials.is_empty:
            _require_same_user(access, cookie)
        return access

    return result_of(authenticate_together)


def result_of(find_context: Callable[[], AuthContext]) -> AuthResult:
    """The context that `find_context` returns, or its error, as the result of a check."""
    try:
        return principal_of(find_context())
    except AccessDenied as error:
        user_id = str(error.user_id) if error.user_id else None
        return AuthFailure("", error.code, credential_valid=True, user_id=user_id)
    except (AccessTokenExpired, AccessTokenInvalid, ApiKeyInvalid, NotAuthenticated) as error:
        return AuthFailure("", error.code)
    except Forbidden as error:
        return AuthFailure("", error.code, credential_valid=True)
    except RateLimited:
        return AuthFailure("", ApiKeyInvalid.code)


def is_own_token(token: str) -> bool:
    """Whether the token claims to be issued by us or by a configured issuer."""
    return claims_our_issuer(token) or external_jwt.is_external(token)


def is_signed_in(request: HttpRequest) -> bool:
    """Whether the request has a live session, whatever else it carries."""
    if session_of(request) is not None:
        return True
    cookie = _forward_auth_cookie(request)
    return bool(cookie) and user_by_forward_auth_cookie(cookie, timezone.now()) is not None


def _cookie_without_session(request: HttpRequest) -> str:
    """The cookie for apps on other hosts; "" beside a session, which takes precedence."""
    cookie = _forward_auth_cookie(request)
    return cookie if cookie and session_of(request) is None else ""


def _forward_auth_cookie(request: HttpRequest) -> str:
    """The cookie for apps on other hosts; "" when it is missing or not in use."""
    name = options().forward_auth_cookie
    return cookie_value(request.META.get("HTTP_COOKIE", ""), name) if name else ""


def _require_same_user(access: AuthContext, cookie: str) -> None:
    """Reject a key or token beside the cookie of another user, as beside another user's session.

    Raises AccessTokenInvalid.
    """
    user = user_by_forward_auth_cookie(cookie, timezone.now())
    if user is not None:
        combine(access, AuthContext(user=user))


def _by_cookie(cookie: str) -> AuthResult:
    user = user_by_forward_auth_cookie(cookie, timezone.now())
    if user is None:
        return AuthFailure("gate", NotAuthenticated.code)
    return principal_of(AuthContext(user=user), "gate")


def principal_of(access: AuthContext, kind: str = "") -> Principal:
    """The user of an authenticated request. kind: instead of that of the context."""
    user = access.user
    now = timezone.now()
    groups = current_groups(user, now)
    ends = [end for end in (user.next_end(now), groups.next_end) if end is not None]
    return Principal(
        kind=kind or _kind(access),
        user_id=str(user.pk),
        email=user.email,
        name=user.name,
        role=Role(user.role),
        is_verified=user.is_verified or user.is_built_in or user.is_service,
        until=NOT_CACHED,
        changes_at=min(ends).timestamp() if ends else NEVER,
        may_read=Scope.READ in access.scopes,
        may_write=Scope.WRITE in access.scopes,
        credential_id=access.key.pk if access.key else str(access.session_id or ""),
        groups=groups.names,
    )


def _kind(access: AuthContext) -> str:
    if access.key is not None:
        return "key"
    return "token" if access.has_token else "session"
