"""The log line and the security headers of every response, and of static files."""

import time
from collections.abc import Callable
from wsgiref.headers import Headers

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from core.web.request_log import log_request
from core.web.response_headers import COMMON

Handler = Callable[[HttpRequest], HttpResponse]


class RequestLogMiddleware:
    """Logs and counts each request; see core.web.request_log."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        start = time.perf_counter()
        response = self.get_response(request)
        seconds = time.perf_counter() - start
        match = request.resolver_match
        log_request(
            request.method or "", match.route if match else "", response.status_code, seconds
        )
        return response


class SecurityHeadersMiddleware:
    """Content-Security-Policy from SECURE_CSP and what Django does not set (ASVS 3.4).

    Responses are `no-store` unless a view sets something else, because nearly all name a user (ASVS
    14.3.2). Static files have headers of their own.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        self.policy = "; ".join(
            f"{directive} {' '.join(sources)}" for directive, sources in settings.SECURE_CSP.items()
        )

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.setdefault("Content-Security-Policy", self.policy)
        for name, value in COMMON:
            response.setdefault(name, value)
        response.setdefault("Cache-Control", "no-store")
        # No script of ours reads a cookie. Django omits the flag when it deletes one.
        for cookie in response.cookies.values():
            cookie["httponly"] = True
        return response


def add_static_headers(headers: Headers, _path: str, _url: str) -> None:
    """Let other sites load static files: an app's address shows the page for a denied user."""
    headers["Cross-Origin-Resource-Policy"] = "cross-origin"
