"""What wraps every answer: one log line, and the security headers."""

import logging
import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts import tally
from accounts.bareheaders import EVERYWHERE

logger = logging.getLogger("gatehouse.request")
Handler = Callable[[HttpRequest], HttpResponse]


class RequestLogMiddleware:
    """Logs one line a request; it names the route's pattern, never the path: paths hold links."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        start = time.perf_counter()
        response = self.get_response(request)
        seconds = time.perf_counter() - start
        tally.add("requests", str(response.status_code))
        tally.add("requests_took", by=int(seconds * 1_000_000))
        match = request.resolver_match
        logger.info(
            "request",
            extra={
                "method": request.method,
                "route": match.route if match else "",
                "status": response.status_code,
                "milliseconds": round(seconds * 1000, 1),
            },
        )
        return response


class SecurityHeadersMiddleware:
    """Content-Security-Policy from SECURE_CSP and what Django does not set (ASVS 3.4).

    Answers are `no-store` unless a view decided otherwise, because nearly all name a person
    (ASVS 14.3.2). Static files come from below and set their own life.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        self.policy = "; ".join(
            f"{directive} {' '.join(sources)}" for directive, sources in settings.SECURE_CSP.items()
        )

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.setdefault("Content-Security-Policy", self.policy)
        for name, value in EVERYWHERE:
            response.setdefault(name, value)
        response.setdefault("Cache-Control", "no-store")
        # No script of ours reads a cookie. Django says so of none that it takes back.
        for cookie in response.cookies.values():
            cookie["httponly"] = True
        return response
