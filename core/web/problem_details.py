"""Errors as RFC 9457 documents for programs, and the templates of error pages."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, JsonResponse

from core.errors import GatehouseError, RateLimited, RecordInvalid

HTML, PROBLEM_JSON, JSON = "text/html", "application/problem+json", "application/json"
API_PREFIX = "/api/v1/"
MACHINE_PREFIXES = (API_PREFIX, "/.well-known/", "/scim/")


def is_for_machines(request: HttpRequest) -> bool:
    """Whether only programs request this path."""
    return request.path_info.startswith(MACHINE_PREFIXES)


def prefers_json(request: HttpRequest) -> bool:
    """Whether the client asks for JSON and not for a page. Browsers and `*/*` get pages."""
    if is_for_machines(request):
        return True
    return request.get_preferred_type([HTML, PROBLEM_JSON, JSON]) in (PROBLEM_JSON, JSON)


def problem_document(
    status: int,
    code: str,
    *,
    title: str,
    detail: str,
    headers: dict[str, str] | None = None,
    **members: Any,
) -> JsonResponse:
    """A problem document with this HTTP status. `members` are added as they are."""
    content = {
        "type": f"{settings.PUBLIC_URL}{API_PREFIX}docs#{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        **members,
    }
    # Accepted is no problem: the act waits.
    content_type = PROBLEM_JSON if status >= 400 else JSON
    return JsonResponse(content, status=status, content_type=content_type, headers=headers)


def error_templates(code: str) -> list[str]:
    """The template for this error code if it exists, else the common one."""
    return [f"errors/error-{code}.html", "errors/error.html"]


def problem_of(error: GatehouseError) -> JsonResponse:
    """The response to a program for `error`."""
    members: dict[str, Any] = dict(error.members)
    status = error.status
    headers: dict[str, str] = {}
    if isinstance(error, RecordInvalid):
        members["errors"] = error.errors
        status = settings.API_RECORD_INVALID_STATUS
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(error.retry_after_seconds)
    if status == 401:
        headers["WWW-Authenticate"] = error.challenge or _challenge(error.code)
    until = getattr(error, "until", None)
    if until is not None:
        members["until"] = until.isoformat()
    return problem_document(
        status,
        error.code,
        title=str(error.title),
        detail=error.sentences,
        headers=headers,
        **members,
    )


def _challenge(code: str) -> str:
    """RFC 6750, section 3: no error code when the request had no credential."""
    return 'Bearer error="invalid_token"' if code.startswith("token_") else "Bearer"
