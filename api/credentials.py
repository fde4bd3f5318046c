"""From the headers and cookies of a request to its Access: every credential, read in one place.

A wrong credential is refused and never ignored. Credentials are looked for in headers and the
session cookie alone, never in the address or the body, which end up in logs (A123).
"""

import uuid
from contextlib import suppress
from functools import reduce

from django.conf import settings
from django.contrib.auth import get_user
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.context import current_caller
from accounts.csrf import CsrfMiddleware
from accounts.limits import count_try
from accounts.models import User
from accounts.services.anonymous import visitor
from accounts.sessions import DEVICE, SessionStore
from api import foreign
from api.access import Access, Scope, joined, pass_gate
from api.authorization import Credentials, credentials_of
from api.errors import ApiKeyInvalid, CsrfFailed, NotAuthenticated
from api.services.families import read_access
from api.services.keychecks import ApiKeyMistyped, access_by, check

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# Of a session that no sign-in of ours has begun: it is found nowhere, so never fresh.
NAMELESS = uuid.UUID(int=0)
# `users` is for keys; what it says of people asks for an operator as well.
VISITOR_SCOPES = frozenset({Scope.READ, Scope.WRITE, Scope.USERS})


def identify(request: HttpRequest, credentials: Credentials | None = None) -> Access:
    """Who calls, by all the credentials that came together.

    credentials: those of the headers, when the caller has read them by rules of its own.

    With REQUIRE_API_KEY_AND_TOKEN nothing less than both will do. Raises NotAuthenticated without
    any; AccessTokenInvalid, AccessTokenExpired, ApiKeyInvalid, RateLimited, Refused, CsrfFailed.
    """
    given = credentials_of(request.META) if credentials is None else credentials
    offered = [_by_key(request, key) for key in given.keys]
    if given.token is not None:
        offered.append(_by_token(given.token))
    if settings.REQUIRE_API_KEY_AND_TOKEN and (not given.keys or given.token is None):
        raise NotAuthenticated(_("Send an API key and an access token, both with each request."))
    session = session_of(request)
    if not offered and session is None:
        return _without_any(request)
    if offered:
        access = reduce(joined, offered)
        if session is not None:
            joined(access, session)  # refuses somebody else's; the person's own adds nothing
        return access
    if session is None:
        raise NotAuthenticated
    check_csrf(request)
    return session


def _without_any(request: HttpRequest) -> Access:
    """The anonymous user, while nobody has to sign in. Raises NotAuthenticated, Refused.

    A page of another site may not act as him in the browser of who has opened it.
    """
    user = visitor(current_caller().ip)
    if user is None:
        raise NotAuthenticated
    if request.method not in SAFE_METHODS:
        require_own_page(request)
    return Access(user=user, scopes=VISITOR_SCOPES)


def _by_token(token: str) -> Access:
    """An access token, ours or of a listed issuer."""
    if foreign.is_foreign(token):
        user, theirs = foreign.authenticate(token)
        pass_gate(user, theirs.issued_at)
        return Access(user=user, has_token=True, claims=theirs.claims)
    family, claims = read_access(token)
    return Access(
        user=family.user,
        session_id=family.pk,
        browser_session=family.session_id,
        has_token=True,
        claims=claims,
    )


def _by_key(request: HttpRequest, text: str) -> Access:
    """An API key, wherever it stood.

    Wrong keys are counted for the client, and answered 429 when they are too many. A right key
    is never held up by them: many programs share one address.
    """
    try:
        return access_by(check(text, current_caller().ip))
    except ApiKeyMistyped:
        raise  # it cost nothing
    except ApiKeyInvalid:
        count_try(request, "api-key")
        raise


def session_of(request: HttpRequest) -> Access | None:
    """The signed-in browser; an ended session is as good as none, because cookies come unasked."""
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
        with suppress(DatabaseError):  # whoever is in stays in while nothing can be written
            session.save()
    name = uuid.UUID(session[DEVICE]["id"]) if DEVICE in session else NAMELESS
    return Access(user=user, session_id=name, browser_session=name)


def check_csrf(request: HttpRequest) -> None:
    """Raise CsrfFailed unless our own page, or a listed origin, sent this change."""
    check = _CsrfCheck(_no_response)
    check.process_request(request)
    if check.process_view(request, _no_response, (), {}) is not None:
        raise CsrfFailed


def require_own_page(request: HttpRequest) -> None:
    """Raise CsrfFailed when a browser says that the page of another site sent this.

    For what comes by the refresh cookie, which is SameSite=Strict anyway. Programs say nothing.
    """
    origin = request.headers.get("Origin")
    if origin is not None:
        if origin not in settings.CSRF_TRUSTED_ORIGINS:
            raise CsrfFailed
    elif request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise CsrfFailed


class _CsrfCheck(CsrfMiddleware):
    """Django's check, which tells instead of answering."""

    def _reject(self, _request: HttpRequest, reason: str) -> str:
        return reason


def _no_response(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()
