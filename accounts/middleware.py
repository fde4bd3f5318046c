"""The request's caller, the session's life, and refusals that become pages."""

import re
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from accounts.services.anonymous import visitor
from accounts.services.users import gone_meanwhile
from core.app_labels import OWN_APPS
from core.client_ip import client_ip
from core.errors import AccessDenied, GatehouseError, RateLimited, RepeatedParameter
from core.problem_details import prefers_json, problem_of, refusal_templates
from core.request_context import RequestContext, use_context
from core.single_values import require_single, require_single_of

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
        context = RequestContext(
            ip=client_ip(request),
            request_id=request_id,
            user_agent=request.headers.get("User-Agent", "")[:256],
            channel="web",
        )
        with use_context(context):
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


class AnonymousModeMiddleware:
    """While nobody has to sign in, gives the anonymous user to pages that are opened without.

    Every page of apps that a team adds, and those of our own that are in OPEN_PAGES. All other
    pages of ours, the admin panel among them, still see nobody and ask for sign-in. No session.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, *_of_view: Any) -> HttpResponse | None:
        """Refuses at once who may not come in from his network."""
        is_on = settings.ANONYMOUS_ROLE is not None
        if not is_on or not _is_open(request, view) or request.user.is_authenticated:
            return None
        try:
            request.user = visitor(client_ip(request)) or request.user
        except AccessDenied as error:
            return refused_page(request, error)
        return None


class SingleValueMiddleware:
    """Refuses a request to our pages that says a name twice; see core.single_values.

    A view says with may_repeat(), a table of the panel with `repeatable`, which fields of its form
    have several values. Pages that a team adds read their forms as they like; of a team's tables in
    the panel only the names that decide what happens are looked at.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, *_of_view: Any) -> HttpResponse | None:
        match = request.resolver_match
        table = getattr(view, "model_admin", None)
        judge: Any
        if _is_ours(type(table) if table is not None else view):
            names = getattr(table or view, "repeatable", frozenset()) | {ACTION_CHECKBOX_NAME}
            judge = partial(require_single, but=names)
        elif match is not None and "admin" in match.app_names:
            judge = partial(require_single_of, names=DECIDING)
        else:
            return None
        try:
            judge(request.GET)
            if request.method == "POST":
                judge(request.POST)
        except RepeatedParameter as error:
            return refused_page(request, error)
        return None


# What decides on a page of Django's admin which act is done, and on what.
DECIDING = ("action", "index", "select_across", "post", "confirmed", "_save", "_saveasnew",
            "_continue", "_addanother", "_popup", "_to_field", "next",
            "csrfmiddlewaretoken")  # fmt: skip
OWN_PACKAGES = OWN_APPS | {"allauth"}
OPEN_PAGES = ("accounts:home", "accounts:profile", "apikeys:list", "apikeys:rotate",
              "apikeys:revoke")  # fmt: skip


def _is_open(request: HttpRequest, view: Any) -> bool:
    match = request.resolver_match
    if match is None or "admin" in match.app_names:
        return False
    return match.view_name in OPEN_PAGES or not _is_ours(view)


def _is_ours(view: Any) -> bool:
    """Is it a view, or a table of the panel, of our own rooms?"""
    return str(getattr(view, "__module__", "")).partition(".")[0] in OWN_PACKAGES


class RefusalMiddleware:
    """Turns an uncaught GatehouseError of a page into that page's answer with the real status."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, GatehouseError):
            return refused_page(request, error)
        gone = gone_meanwhile(error, getattr(request, "user", None))
        return refused_page(request, gone) if gone is not None else None


def refused_page(request: HttpRequest, error: GatehouseError) -> HttpResponse:
    """The answer to a refused request: a page, or a problem document for a program."""
    if prefers_json(request):
        return problem_of(error)
    names = refusal_templates(error.code)
    response = render(request, names, {"error": error}, status=error.status)
    if isinstance(error, RateLimited):
        response["Retry-After"] = str(error.retry_after_seconds)
    return response
