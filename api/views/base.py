"""The base of all API views: authentication, deny by default, JSON, problem documents."""

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

from accounts.services.users import gone_meanwhile
from api import errors
from api.authentication import SAFE_METHODS, authenticate
from api.permissions import ApiPermission, AuthContext
from api.validation import flatten_errors
from core.errors import GatehouseError, NotFound, RecordInvalid
from core.problem_details import problem_of
from core.single_values import read_json, require_single

CSRF_HEADER = "X-CSRF-Token"
PLAIN_ACCEPT = ("*/*", "application/json")
# Exceptions of DRF and Django, and our corresponding errors.
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
    """Parses JSON of limited size and depth, without repeated names."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        context = parser_context or {}
        # Django limits the size of `body`, but not of the stream.
        body = context["request"]._request.body
        try:
            return read_json(body.decode())  # RFC 8259, section 11: a charset has no effect
        except (ValueError, RecursionError):
            raise errors.Unreadable from None


class ApiView(APIView):
    """Base of every view of /api/v1/.

    required_permissions: the permission of each method; None if it is open to everyone. A method
    without an entry is not allowed, so a forgotten entry denies access.
    """

    required_permissions: ClassVar[Mapping[str, ApiPermission | None]] = {}
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    parser_classes = (BodyParser,)
    renderer_classes = (JSONRenderer,)
    metadata_class = None
    auth: AuthContext

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Return the only renderer; the usual Accept headers skip the negotiation."""
        if request.META.get("HTTP_ACCEPT", "*/*") in PLAIN_ACCEPT and not request.META.get(
            "QUERY_STRING"
        ):
            return JSONRenderer(), JSONRenderer.media_type
        return super().perform_content_negotiation(request, force)

    @property
    def allowed_methods(self) -> list[str]:
        return sorted(self.required_permissions)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate the request and check its permission before anything else."""
        self.format_kwarg = None
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(
            request
        )
        method = "GET" if request.method == "HEAD" else str(request.method)
        if method not in self.required_permissions:
            raise errors.MethodNotAllowed
        if request.META.get("QUERY_STRING"):
            require_single(request._request.GET)
        permission = self.required_permissions[method]
        if permission is None:
            return
        self.auth = authenticate(request._request)
        request._request.user = self.auth.user
        self.auth.require(permission)
        if permission.is_sensitive and not self.is_exempt(request):
            self.auth.require_recent_authentication()

    def is_exempt(self, request: Request) -> bool:
        """Whether this request of a sensitive method needs no recent authentication."""
        return False

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Send the CSRF token to browsers, which need it for changes with a session."""
        answer = super().finalize_response(request, response, *args, **kwargs)
        http = request._request
        if request.method in SAFE_METHODS and hasattr(http, "session"):
            answer[CSRF_HEADER] = get_token(http)
            # Sets the CSRF cookie for a browser that has none.
            CsrfViewMiddleware(lambda _request: answer).process_response(http, answer)
        return answer

    def handle_exception(self, exc: Exception) -> Any:
        """Respond with a problem document (RFC 9457); re-raises unexpected exceptions."""
        user = getattr(self.request._request, "user", None)
        error = to_gatehouse_error(exc) or gone_meanwhile(exc, user)
        if error is None:
            raise exc
        response = problem_of(error)
        if isinstance(error, errors.MethodNotAllowed):
            response["Allow"] = ", ".join(self.allowed_methods)
        return response

    def http_method_not_allowed(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise errors.MethodNotAllowed


def to_gatehouse_error(exc: Exception) -> GatehouseError | None:
    """Return our error for an exception; None for an unexpected one."""
    if isinstance(exc, GatehouseError):
        return exc
    if isinstance(exc, exceptions.ValidationError):
        return RecordInvalid(flatten_errors(exc.detail))
    return next((ours() for theirs, ours in TRANSLATIONS if isinstance(exc, theirs)), None)
