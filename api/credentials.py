"""From the headers and cookies of a request to its Access: every credential, read in one place.

A wrong credential is refused and never ignored. Credentials are looked for in headers and the
session cookie alone, never in the address or the body, which end up in logs (A123).
"""

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.utils import timezone

from accounts.models import User
from accounts.sessions import DEVICE, SessionStore
from api.access import Access
from api.errors import CsrfFailed, NotAuthenticated

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def identify(request: HttpRequest) -> Access:
    """Who calls, by all the credentials that came together.

    Raises NotAuthenticated without any; AccessTokenInvalid, AccessTokenExpired, ApiKeyInvalid,
    Refused, CsrfFailed.
    """
    session = _by_session(request)
    if session is None:
        raise NotAuthenticated
    check_csrf(request)
    return session


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
