"""Sets and deletes the cookie by which apps on other hosts recognize a signed-in browser."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from core.web.cookies import set_cookie
from forward_auth.services.cookies import cookie_belongs_to_session, issue_forward_auth_cookie

Handler = Callable[[HttpRequest], HttpResponse]
# Apps that answer programs. Checks of proxies carry this very cookie.
EXCLUDED_APPS = frozenset({"forward_auth", "api"})


class ForwardAuthCookieMiddleware:
    """Does nothing without FORWARD_AUTH_DOMAIN. Place it below session and authentication."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        match = request.resolver_match
        if (
            settings.FORWARD_AUTH_DOMAIN
            and match
            and not EXCLUDED_APPS.intersection(match.app_names)
        ):
            _sync_cookie(request, response)
        return response


def _sync_cookie(request: HttpRequest, response: HttpResponse) -> None:
    """Set the cookie when a signed-in browser lacks it; delete it when no one is signed in."""
    given = request.COOKIES.get(settings.FORWARD_AUTH_COOKIE_NAME, "")
    session_key = request.session.session_key
    if session_key is None or not request.user.is_authenticated:
        if given:
            response.delete_cookie(
                settings.FORWARD_AUTH_COOKIE_NAME,
                domain=settings.FORWARD_AUTH_DOMAIN,
                samesite="Lax",
            )
        return
    if given and cookie_belongs_to_session(session_key, given):
        return
    token = issue_forward_auth_cookie(session_key)
    if token:
        set_forward_auth_cookie(response, token)


def set_forward_auth_cookie(response: HttpResponse, token: str) -> None:
    """Set it for the longest life of a session; the cookie is invalid once its session ends."""
    set_cookie(
        response,
        settings.FORWARD_AUTH_COOKIE_NAME,
        token,
        settings.SESSION_ABSOLUTE_TIMEOUT,
        domain=settings.FORWARD_AUTH_DOMAIN,
    )
