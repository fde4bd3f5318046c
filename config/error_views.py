"""What every page knows, and the answers when something goes wrong: pages, or problem documents."""

import logging
import sqlite3
import sys
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.exceptions import DisallowedHost, PermissionDenied
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from accounts.middleware import error_response
from accounts.models import ROLE_LABELS
from accounts.views.common import is_stale, redirect_with_notice
from accounts.views.stale import show_again
from core.errors import GatehouseError
from core.web.problem_details import prefers_json, problem_document
from core.web.request_context import get_request_context

logger = logging.getLogger("gatehouse.pages")
RETRY_SECONDS = "5"


class Problem(NamedTuple):
    """A failed request: HTTP status, code for a program, texts for people.

    hint: what the administrator may have to set; "" when there is nothing to say. It is on the page
    and at the end of a document's `detail`.
    """

    status: int
    code: str
    title: str
    detail: str
    hint: str = ""


def site(request: HttpRequest) -> dict[str, Any]:
    """Context of every page; asks no database.

    anonymous_role: the role of users without an account, and the settings that allow it.
    has_mail: can mail leave this server? language_page: where the language switch leads back to.
    """
    return {
        "anonymous_role": _anonymous_role(),
        "anonymous_settings": settings.ANONYMOUS_SETTINGS,
        "has_mail": settings.MAIL.transport != "none",
        "language_page": request.get_full_path(),
        "is_stale": is_stale(request),
    }


def _anonymous_role() -> Any:
    """The name of the role of anonymous users; "" if sign-in is required."""
    role = settings.ANONYMOUS_ROLE
    return "" if role is None else dict(ROLE_LABELS)[role.value]


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403: a form without its right token. `reason` is logged by Django and not shown.

    A form of our own pages is shown again; see accounts.views.stale.
    """
    if not prefers_json(request):
        try:
            again = show_again(request, request.resolver_match)
        except GatehouseError as error:
            again = error_response(request, error)
        except Http404 as error:
            return not_found(request, error)
        except PermissionDenied as error:
            return forbidden(request, error)
        if again is not None:
            return again
    problem = Problem(
        403,
        "csrf_failed",
        _("This form is out of date"),
        _("Go back, reload the page and send the form again. Your browser must accept cookies."),
        _(
            "If this happens every time, set PUBLIC_URL to the address in the browser's address "
            "bar, with https:// or http:// and the port. Other names belong into ALLOWED_HOSTS."
        ),
    )
    return _answer(request, "403.html", problem)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: unreadable, or asked for under a name that this server does not have.

    A session that was ended while the request was on its way leads to the sign-in page.
    """
    if isinstance(exception, SessionInterrupted) and not prefers_json(request):
        return redirect_with_notice("account_login", "signed-out")
    if isinstance(exception, DisallowedHost):
        problem = Problem(
            400,
            "host_not_allowed",
            _("Wrong address"),
            _("This server does not answer under this name."),
            _(
                "Set PUBLIC_URL to the address that people open, and list further names in "
                "ALLOWED_HOSTS. Behind a proxy, let it pass the Host header on."
            ),
        )
    else:
        detail = _("The server could not read this request.")
        problem = Problem(400, "malformed", _("Unreadable request"), detail)
    return _answer(request, "400.html", problem)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403: no permission."""
    detail = _("Your role does not allow this page. Ask an administrator if you need it.")
    return _answer(request, "403.html", Problem(403, "forbidden", _("Not allowed"), detail))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: nothing there, or nothing that this person may see."""
    detail = _(
        "There is nothing at this address. Maybe the link is incomplete, or the page has moved."
    )
    return _answer(request, "404.html", Problem(404, "not_found", _("Page not found"), detail))


def server_error(request: HttpRequest) -> HttpResponse:
    """500 with the request id, without database and context processors.

    503 when the database is away or cannot write: then the same request may do later.
    """
    is_outage = _is_outage(sys.exc_info()[1])
    answer = _fault_of_ours(request, 503 if is_outage else 500)
    if is_outage:
        answer["Retry-After"] = RETRY_SECONDS
    return answer


def _is_outage(error: BaseException | None) -> bool:
    """Does the database say that it is not there, or cannot write now?

    SQLite calls statements that are wrong by the same name, with SQLITE_ERROR.
    """
    if not isinstance(error, OperationalError | InterfaceError) or error.__cause__ is None:
        return False
    return getattr(error.__cause__, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR


def _fault_of_ours(request: HttpRequest, status: int) -> HttpResponse:
    request_id = get_request_context().request_id
    detail = _("This is our fault, not yours. Try again in a moment.")
    problem = Problem(status, "server_error", _("Something went wrong"), detail)
    if prefers_json(request):
        return _document(problem, request_id=request_id)
    try:
        page: str = render_to_string("500.html", {"request_id": request_id})
    except Exception:  # whatever is broken, the last page of all must not break with it
        logger.exception("the page for server errors cannot be shown")
        page = f"{problem.title}. {detail} {request_id}"
        return HttpResponse(page, status=status, content_type="text/plain; charset=utf-8")
    return HttpResponse(page, status=status)


def _answer(request: HttpRequest, template: str, problem: Problem) -> HttpResponse:
    if prefers_json(request):
        return _document(problem)
    context = {"problem": problem}
    try:
        page = render_to_string(template, context, request)
    except DatabaseError:
        # Who is signed in cannot be known now: the page says the rest.
        page = render_to_string(template, context)
    return HttpResponse(page, status=problem.status)


def _document(failure: Problem, **members: Any) -> HttpResponse:
    detail = f"{failure.detail} {failure.hint}".strip()
    return problem_document(
        failure.status, failure.code, title=failure.title, detail=detail, **members
    )
