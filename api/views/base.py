"""What all API views share: deny by default, one credential check, one renderer, cursors."""

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

from django.core.exceptions import RequestDataTooBig
from django.http import Http404
from django.http.request import UnreadablePostError
from django.middleware.csrf import CsrfViewMiddleware, get_token
from rest_framework import exceptions
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.errors import GatehouseError, NotFound, RecordInvalid
from accounts.problems import problem_of
from accounts.services.users import gone_meanwhile
from accounts.single_values import read_json, require_single
from api import errors
from api.access import Access, Need
from api.credentials import SAFE_METHODS, identify
from api.reading import checked as checked
from api.reading import flat
from api.reading import queried as queried

CSRF_HEADER = "X-CSRF-Token"
PLAIN_WISHES = ("*/*", "application/json")
# What DRF and Django raise, and the error of ours that says the same.
TRANSLATIONS: tuple[tuple[type[Exception], type[GatehouseError]], ...] = (
    (exceptions.ParseError, errors.Unreadable),
    (UnreadablePostError, errors.Unreadable),
    (RequestDataTooBig, errors.TooLarge),
    (exceptions.UnsupportedMediaType, errors.NotJson),
    (exceptions.NotAcceptable, errors.NotAcceptable),
    (exceptions.MethodNotAllowed, errors.MethodNotAllowed),
    (exceptions.NotFound, NotFound),
    (Http404, NotFound),
)


class BodyParser(JSONParser):
    """JSON that is neither too long nor so nested that it exhausts the interpreter, and that says
    each name once."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        context = parser_context or {}
        # Django bounds `body` alone, not what is read from the stream.
        body = context["request"]._request.body
        try:
            return read_json(body.decode())  # RFC 8259, section 11: a charset has no effect
        except (ValueError, RecursionError):
            raise errors.Unreadable from None


class ApiView(APIView):
    """Base of every view of /api/v1/.

    needs: what each method asks of its caller; None is open to everybody. A method without an
    entry is not served, so that forgetting one denies.
    """

    needs: ClassVar[Mapping[str, Need | None]] = {}
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    parser_classes = (BodyParser,)
    renderer_classes = (JSONRenderer,)
    metadata_class = None
    access: Access

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """The one renderer; what nearly every program asks for takes no weighing."""
        if request.META.get("HTTP_ACCEPT", "*/*") in PLAIN_WISHES and not request.META.get(
            "QUERY_STRING"
        ):
            return JSONRenderer(), JSONRenderer.media_type
        return super().perform_content_negotiation(request, force)

    @property
    def allowed_methods(self) -> list[str]:
        return sorted(self.needs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Who calls, and may he? Everything else waits for that."""
        self.format_kwarg = None
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(
            request
        )
        method = "GET" if request.method == "HEAD" else str(request.method)
        if method not in self.needs:
            raise errors.MethodNotAllowed
        if request.META.get("QUERY_STRING"):
            require_single(request._request.GET)
        need = self.needs[method]
        if need is None:
            return
        self.access = identify(request._request)
        request._request.user = self.access.user
        self.access.require(need)
        if need.is_sensitive and not self.is_exempt(request):
            self.access.require_fresh()

    def is_exempt(self, request: Request) -> bool:
        """May this request of a sensitive method do without a fresh proof? The panel decides so."""
        return False

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Hand the form token to browsers: a session changes nothing without it."""
        answer = super().finalize_response(request, response, *args, **kwargs)
        http = request._request
        if request.method in SAFE_METHODS and hasattr(http, "session"):
            answer[CSRF_HEADER] = get_token(http)
            # Sets the cookie that belongs to the token, for a browser that has none.
            CsrfViewMiddleware(lambda _request: answer).process_response(http, answer)
        return answer

    def handle_exception(self, exc: Exception) -> Any:
        """Every failure that is not ours becomes one problem document (RFC 9457)."""
        user = getattr(self.request._request, "user", None)
        error = as_error(exc) or gone_meanwhile(exc, user)
        if error is None:
            raise exc
        response = problem_of(error)
        if isinstance(error, errors.MethodNotAllowed):
            response["Allow"] = ", ".join(self.allowed_methods)
        return response

    def http_method_not_allowed(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise errors.MethodNotAllowed


def as_error(exc: Exception) -> GatehouseError | None:
    """The error of ours that says what `exc` says; None for a fault of ours."""
    if isinstance(exc, GatehouseError):
        return exc
    if isinstance(exc, exceptions.ValidationError):
        return RecordInvalid(flat(exc.detail))
    return next((ours() for theirs, ours in TRANSLATIONS if isinstance(exc, theirs)), None)
