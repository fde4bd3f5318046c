"""Gives a signed-in browser the cookie that apps on other hosts are shown; takes it back."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from forward_auth.services.cookies import is_gate_cookie_of, issue_gate_cookie

Handler = Callable[[HttpRequest], HttpResponse]
# Answers for programs: they sign nobody in, and what proxies ask comes with this very cookie.
WITHOUT = frozenset({"forward_auth", "api"})


class ForwardAuthCookieMiddleware:
    """Does nothing without FORWARD_AUTH_DOMAIN. Stands below what knows session and person."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        match = request.resolver_match
        if settings.FORWARD_AUTH_DOMAIN and match and not WITHOUT.intersection(match.app_names):
            _keep(request, response)
        return response


def _keep(request: HttpRequest, response: HttpResponse) -> None:
    """Cookie and session belong together: given when it is missing, taken when nobody is in."""
    given = request.COOKIES.get(settings.GATE_COOKIE_NAME, "")
    session_key = request.session.session_key
    if session_key is None or not request.user.is_authenticated:
        if given:
            response.delete_cookie(
                settings.GATE_COOKIE_NAME, domain=settings.FORWARD_AUTH_DOMAIN, samesite="Lax"
            )
        return
    if given and is_gate_cookie_of(session_key, given):
        return
    token = issue_gate_cookie(session_key)
    if token:
        set_gate_cookie(response, token)


def set_gate_cookie(response: HttpResponse, token: str) -> None:
    """For as long as the session can last; the session itself says when it ends."""
    response.set_cookie(
        settings.GATE_COOKIE_NAME,
        token,
        max_age=int(settings.SESSION_ABSOLUTE_TIMEOUT.total_seconds()),
        domain=settings.FORWARD_AUTH_DOMAIN,
        secure=settings.IS_HTTPS,
        httponly=True,
        samesite="Lax",
    )
