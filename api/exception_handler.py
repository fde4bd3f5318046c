"""DRF's EXCEPTION_HANDLER: every failed API request gets a problem document (RFC 9457)."""

from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpResponse
from django.http.request import UnreadablePostError
from rest_framework import exceptions

from accounts.services.users import gone_meanwhile
from api import errors
from api.validation import flatten_errors
from core.errors import Forbidden, GatehouseError, NotFound, RateLimited, RecordInvalid
from core.web.problem_details import problem_document, problem_of

# Exceptions of DRF and Django, and our corresponding errors.
TRANSLATIONS: tuple[tuple[type[Exception], type[GatehouseError]], ...] = (
    (exceptions.AuthenticationFailed, errors.AccessTokenInvalid),
    (exceptions.ParseError, errors.Unreadable),
    (UnreadablePostError, errors.Unreadable),
    (RequestDataTooBig, errors.TooLarge),
    (exceptions.UnsupportedMediaType, errors.NotJson),
    (exceptions.NotAcceptable, errors.NotAcceptable),
    (exceptions.MethodNotAllowed, errors.MethodNotAllowed),
    (exceptions.NotFound, NotFound),
    (Http404, NotFound),
    (PermissionDenied, Forbidden),
)


def exception_handler(exc: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """Return the problem document of an exception; None for an unexpected one."""
    user = getattr(context["request"]._request, "user", None)
    error = to_gatehouse_error(exc) or gone_meanwhile(exc, user)
    if error is not None:
        return problem_of(error)
    if isinstance(exc, exceptions.APIException):
        return problem_document(
            exc.status_code,
            exc.default_code,
            title=str(exc.default_detail),
            detail=str(exc.detail),
        )
    return None


def to_gatehouse_error(exc: Exception) -> GatehouseError | None:
    """Return our error for an exception; None if there is none."""
    match exc:
        case GatehouseError():
            return exc
        case exceptions.ValidationError():
            return RecordInvalid(flatten_errors(exc.detail))
        case exceptions.NotAuthenticated():
            return errors.NotAuthenticated()
        case exceptions.PermissionDenied():
            has_message = exc.detail != exc.default_detail
            return Forbidden(exc.detail if has_message else None)
        case exceptions.Throttled():
            return RateLimited(int(getattr(exc, "wait", None) or 1))
    return next((ours() for theirs, ours in TRANSLATIONS if isinstance(exc, theirs)), None)
