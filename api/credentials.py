"""From the headers and cookies of a request to its Access: every credential, read in one place.

A wrong credential is refused and never ignored. Credentials are looked for in headers and the
session cookie alone, never in the address or the body, which end up in logs (A123).
"""

from functools import reduce

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.utils import timezone

from accounts.context import current_caller
from accounts.limits import count_try
from accounts.models import User
from accounts.sessions import DEVICE, SessionStore
from api.access import Access, joined
from api.errors import ApiKeyInvalid, CsrfFailed, NotAuthenticated
from api.keyformat import shown_id
from api.services.keychecks import ApiKeyMistyped, access_by, check

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def identify(request: HttpRequest) -> Access:
    """Who calls, by all the credentials that came together.

    Raises NotAuthenticated without any; AccessTokenInvalid, AccessTokenExpired, ApiKeyInvalid,
    RateLimited, Refused, CsrfFailed.
    """
    offered = [access for access in (_by_key(request),) if access is not None]
    session = _by_session(request)
    if offered:
        access = reduce(joined, offered)
        if session is not None:
            joined(access, session)  # refuses somebody else's; the person's own adds nothing
        return access
    if session is None:
        raise NotAuthenticated
    check_csrf(request)
    return session


def _by_key(request: HttpRequest) -> Access | None:
    """The key of the header X-API-Key; None when there is no such header.

    Wrong keys are counted for the client, and answered 429 when they are too many. A right key
    is never held up by them: many programs share one address.
    """
    text = request.META.get("HTTP_X_API_KEY")
    if text is None:
        return None
    try:
        return access_by(check(text, current_caller().ip))
    except ApiKeyMistyped:
        raise  # it cost nothing
    except ApiKeyInvalid:
        count_try(request, "api-key", shown_id(text) or "")
        raise


def _by_session(request: HttpRequest) -> Access | None:
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
        session.save()
    return Access(user=user, session_id=session.get(DEVICE, {}).get("id"))


def check_csrf(request: HttpRequest) -> None:
    """Raise CsrfFailed unless our own page, or a listed origin, sent this change."""
    check = _CsrfCheck(_no_response)
    check.process_request(request)
    if check.process_view(request, _no_response, (), {}) is not None:
        raise CsrfFailed


class _CsrfCheck(CsrfViewMiddleware):
    """Django's check, which tells instead of answering."""

    def _reject(self, _request: HttpRequest, reason: str) -> str:
        return reason


def _no_response(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()
