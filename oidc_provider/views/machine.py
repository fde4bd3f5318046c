"""What the endpoints for programs share: JSON, errors, CORS, the client of a request."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from accounts.rate_limits import check_rate_limit
from applications.errors import InvalidClient
from applications.models import App
from applications.services.client_assertions import ASSERTION_FIELD, TYPE_FIELD
from applications.services.client_authentication import require_client
from applications.services.client_credentials import LIMIT, SECRET_FIELD
from core import sql
from core.errors import GatehouseError, RateLimited, RecordInvalid
from core.web.single_values import may_repeat
from oidc_provider.errors import ProtocolError
from oidc_provider.parameters import PARAMETERS, has_null

View = Callable[..., HttpResponse]
STORED = "app-requests"
TOKEN_FIELDS = (
    *("grant_type", "code", "redirect_uri", "code_verifier", "client_id", "client_secret"),
    *("refresh_token", "scope", "token", "token_type_hint", "access_token"),
    *("device_code", TYPE_FIELD, ASSERTION_FIELD),
)
# Fields by which a client proves to be itself.
PROOFS = frozenset({SECRET_FIELD, TYPE_FIELD, ASSERTION_FIELD})
CORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "WWW-Authenticate, Retry-After",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
NOT_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Answer(NamedTuple):
    """What a program is told. members: of a JSON object. headers: beside those of all answers."""

    members: dict[str, Any]
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


def endpoint(*methods: str) -> Callable[[View], View]:
    """Decorate an endpoint for programs, which may be pages of any origin.

    No cookie is read, so there is nothing that another site could use: neither a CSRF token nor a
    list of origins is needed. Errors are answered as RFC 6749, section 5.2, writes them.
    """

    def decorate(view: View) -> View:
        @csrf_exempt
        @may_repeat(*TOKEN_FIELDS, *PARAMETERS)
        @wraps(view)
        def wrapped(request: HttpRequest, **of_path: str) -> HttpResponse:
            response = _answer(request, partial(view, **of_path), methods)
            for name, value in CORS_HEADERS.items():
                response[name] = value
            return response

        return wrapped

    return decorate


def json_response(content: dict[str, Any], status: int = 200) -> HttpResponse:
    """Not stored by any cache (RFC 6749, section 5.1)."""
    return _not_stored(JsonResponse(content, status=status))


def error_answer(error: ProtocolError | GatehouseError) -> Answer:
    """As RFC 6749, section 5.2, writes errors."""
    if isinstance(error, ProtocolError):
        challenges: tuple[tuple[str, str], ...] = ()
        if error.error == "invalid_token":
            # RFC 6750, section 3.
            challenges = (("WWW-Authenticate", 'Bearer realm="Gatehouse", error="invalid_token"'),)
        elif error.status == 401:
            challenges = (("WWW-Authenticate", 'Basic realm="Gatehouse", charset="UTF-8"'),)
        return Answer(error.members, error.status, challenges)
    if isinstance(error, RateLimited):
        members = {"error": "slow_down", "error_description": error.sentences}
        return Answer(members, 429, (("Retry-After", str(error.retry_after_seconds)),))
    return Answer({"error": "access_denied", "error_description": error.sentences}, error.status)


def jwt_response(text: str) -> HttpResponse:
    """A signed answer, stored by no cache either."""
    return _not_stored(HttpResponse(text, content_type="application/jwt"))


def single_fields(request: HttpRequest) -> dict[str, str]:
    """The fields of the body. Raises ProtocolError for one that is sent twice (RFC 6749, 3.2)."""
    for name, values in request.POST.lists():
        if len(values) > 1:
            raise ProtocolError("invalid_request", f"The parameter {name[:40]} is sent twice.")
    fields = request.POST.dict()
    if has_null(fields):
        raise ProtocolError("invalid_request", "A parameter contains a null character.")
    return fields


def client_of(request: HttpRequest, form: dict[str, str]) -> App:
    """The app that asks: by its secret or assertion, or by its id if it can keep neither.

    Raises ProtocolError, RateLimited.
    """
    if "HTTP_AUTHORIZATION" in request.META or PROOFS & form.keys():
        app = _by_proof(request, form)
    else:
        app = _without_secret(request, form)
    if not app.is_openid_client:
        raise ProtocolError("unauthorized_client", "The app does not use OpenID Connect.")
    return app


def bearer_of(request: HttpRequest) -> str:
    """The token in the header (RFC 6750, section 2.1); "" for none."""
    scheme, _space, sent = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return sent.strip() if scheme.lower() == "bearer" else ""


def limit_strangers(request: HttpRequest, app: App) -> None:
    """Count what is stored for an app that proves nothing: anyone can ask in its name.

    Bounds what a stranger can fill the database with, and how many user codes there are to guess.
    Raises RateLimited.
    """
    if app.is_public_client:
        check_rate_limit(request, STORED)


def _without_secret(request: HttpRequest, form: dict[str, str]) -> App:
    found = sql.find(App, "client_id", form.get("client_id", "")[:255])
    if found is None or not found.is_public_client:
        check_rate_limit(request, LIMIT)
        raise _unknown_client()
    return found


def _by_proof(request: HttpRequest, form: dict[str, str]) -> App:
    try:
        return require_client(request, form).app
    except InvalidClient:
        raise _unknown_client() from None
    except RecordInvalid as error:
        raise ProtocolError("invalid_request", error.sentences) from None


def _not_stored(response: HttpResponse) -> HttpResponse:
    for name, value in NOT_STORED.items():
        response[name] = value
    return response


def _unknown_client() -> ProtocolError:
    return ProtocolError("invalid_client", "The credentials of the client do not work.", 401)


def _answer(request: HttpRequest, view: View, methods: tuple[str, ...]) -> HttpResponse:
    if request.method == "OPTIONS":
        return _preflight(methods)
    if request.method not in methods:
        response = json_response({"error": "invalid_request"}, 405)
        response["Allow"] = ", ".join(methods)
        return response
    try:
        return view(request)
    except (ProtocolError, GatehouseError) as error:
        answer = error_answer(error)
    response = json_response(answer.members, answer.status)
    for name, value in answer.headers:
        response[name] = value
    return response


def _preflight(methods: tuple[str, ...]) -> HttpResponse:
    response = HttpResponse(status=204)
    response["Access-Control-Allow-Methods"] = ", ".join(methods)
    response["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
    response["Access-Control-Max-Age"] = "600"
    return response
