"""Middleware: request context, sessions, time zones, anonymous mode, and error pages."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth import SESSION_KEY, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from accounts.models import User
from accounts.services.anonymous import visitor
from accounts.services.approvals.rule import TwoPersonRequired
from accounts.services.users import gone_meanwhile
from accounts.sessions import known_devices, reauthentication
from accounts.sessions.reauthentication import PENDING_FIELD
from accounts.sessions.resumption import is_resumed, masked_token_of, resume
from core.app_labels import OWN_APPS
from core.errors import AccessDenied, GatehouseError, RateLimited, RepeatedParameter
from core.text.time_zones import zone_of
from core.web.client_ip import client_ip
from core.web.problem_details import error_templates, prefers_json, problem_of
from core.web.request_context import context_of, use_context
from core.web.single_values import require_single, require_single_of

Handler = Callable[[HttpRequest], HttpResponse]


class Middleware:
    """The base of the middleware below: passes the request on."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)


class RequestContextMiddleware(Middleware):
    """Makes the context of the request available to services and logs.

    The response carries its request id, too.
    """

    def __call__(self, request: HttpRequest) -> HttpResponse:
        context = context_of(client_ip(request), request.META)
        with use_context(context):
            response = self.get_response(request)
        response["X-Request-ID"] = context.request_id
        return response


class SessionTimeoutMiddleware(Middleware):
    """Ends sessions past their absolute timeout; extends the idle timeout every five minutes."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        now = timezone.now()
        if request.session.is_past_absolute_end(now):  # type: ignore[attr-defined]  # our own store
            logout(request)
        elif request.session.is_stale(now):  # type: ignore[attr-defined]
            request.session.modified = True
        return self.get_response(request)


class ResumptionMiddleware(Middleware):
    """A form that is sent again without a session continues in the one that it renewed.

    Only where Django has checked the CSRF token; see accounts.sessions.resumption.
    """

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if is_resumed(request) and isinstance(request.user, User):
            known_devices.remember(request, response, request.user)
        return response

    def process_view(self, request: HttpRequest, view: Any, *_args: Any) -> None:
        is_checked = not getattr(view, "csrf_exempt", False)
        if is_checked and masked_token_of(request) and not request.user.is_authenticated:
            resume(request)


class TimeZoneMiddleware(Middleware):
    """Shows times in the zone of the signed-in user; visitors see them in TIME_ZONE."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with timezone.override(None):
            return self.get_response(request)

    def process_view(self, request: HttpRequest, *_args: Any) -> None:
        """Activate the zone. Visitors without a session cost no query."""
        if SESSION_KEY in request.session and request.user.is_authenticated:
            timezone.activate(zone_of(getattr(request.user, "time_zone", "")))


class PendingFormMiddleware(Middleware):
    """Carries out the form that was posted before /confirm; see reauthentication.restore()."""

    def process_view(self, request: HttpRequest, *_args: Any) -> HttpResponse | None:
        match = request.resolver_match
        if request.method != "POST" or PENDING_FIELD not in request.POST:
            return None
        if match is not None and match.view_name == reauthentication.PAGE:
            return None
        return reauthentication.restore(request)


class AnonymousModeMiddleware(Middleware):
    """While sign-in is off, sets request.user to the anonymous user for visitors.

    This applies to all pages of apps that a team adds, and to our own in OPEN_PAGES. All other
    pages, such as the admin, still ask visitors to sign in. Starts no session.
    """

    def process_view(self, request: HttpRequest, view: Any, *_args: Any) -> HttpResponse | None:
        """Show an error page to visitors from a banned network."""
        is_on = settings.ANONYMOUS_ROLE is not None
        if not is_on or not _is_open(request, view) or request.user.is_authenticated:
            return None
        try:
            request.user = visitor(client_ip(request)) or request.user
        except AccessDenied as error:
            return error_response(request, error)
        return None


class SingleValueMiddleware(Middleware):
    """Refuses requests to our pages with a repeated parameter; see core.web.single_values.

    A view declares fields with several values through may_repeat(), a ModelAdmin through
    `repeatable`. Pages that a team adds are not checked. In a team's ModelAdmin, only the names
    that decide what happens are.
    """

    def process_view(self, request: HttpRequest, view: Any, *_args: Any) -> HttpResponse | None:
        match = request.resolver_match
        model_admin = getattr(view, "model_admin", None)
        check: Any
        if _is_ours(type(model_admin) if model_admin is not None else view):
            names = getattr(model_admin or view, "repeatable", frozenset()) | {ACTION_CHECKBOX_NAME}
            check = partial(require_single, but=names)
        elif match is not None and "admin" in match.app_names:
            check = partial(require_single_of, names=DECIDING)
        else:
            return None
        try:
            check(request.GET)
            if request.method == "POST":
                check(request.POST)
        except RepeatedParameter as error:
            return error_response(request, error)
        return None


# Parameters of Django's admin that decide which action is done, and on what.
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
    """Whether a view or ModelAdmin belongs to our own apps."""
    return str(getattr(view, "__module__", "")).partition(".")[0] in OWN_PACKAGES


class ErrorPageMiddleware(Middleware):
    """Turns an uncaught GatehouseError into an error page with its status."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, GatehouseError):
            return error_response(request, error)
        gone = gone_meanwhile(error, getattr(request, "user", None))
        return error_response(request, gone) if gone is not None else None


def error_response(request: HttpRequest, error: GatehouseError) -> HttpResponse:
    """The response to a refused request: a page, or a problem document for programs."""
    if prefers_json(request):
        return problem_of(error)
    if isinstance(error, TwoPersonRequired):
        messages.warning(request, error.sentences)
        return redirect(error.path)
    names = error_templates(error.code)
    response = render(request, names, {"error": error}, status=error.status)
    if isinstance(error, RateLimited):
        response["Retry-After"] = str(error.retry_after_seconds)
    return response
