"""The request's caller, the session's life, and refusals that become pages."""

import re
import secrets
from collections.abc import Callable

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from accounts.client import client_ip
from accounts.context import Caller, calling
from accounts.errors import GatehouseError, RateLimited
from accounts.problems import prefers_json, problem_of, refusal_templates

Handler = Callable[[HttpRequest], HttpResponse]
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


class CallerMiddleware:
    """Tells services and logs who calls, without handing them the request.

    The request id is the proxy's X-Request-ID when well formed, else a new one; it is answered.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        caller = Caller(
            ip=client_ip(request),
            request_id=request_id,
            user_agent=request.headers.get("User-Agent", "")[:256],
            channel="web",
        )
        with calling(caller):
            response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


class SessionLifeMiddleware:
    """Ends a session past its absolute end, and slides the idle end at most every five minutes."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        now = timezone.now()
        if request.session.is_past_absolute_end(now):  # type: ignore[attr-defined]  # our own store
            logout(request)
        elif request.session.is_stale(now):  # type: ignore[attr-defined]
            request.session.modified = True
        return self.get_response(request)


class RefusalMiddleware:
    """Turns an uncaught GatehouseError of a page into that page's answer with the real status."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, GatehouseError):
            return None
        if prefers_json(request):
            return problem_of(error)
        names = refusal_templates(error.code)
        response = render(request, names, {"error": error}, status=error.status)
        if isinstance(error, RateLimited):
            response["Retry-After"] = str(error.retry_after_seconds)
        return response
