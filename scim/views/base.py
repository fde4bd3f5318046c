"""What all endpoints share: authentication, media type, errors, parameters."""

import re
from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse, JsonResponse
from rest_framework.authentication import BaseAuthentication
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.roles import Role
from accounts.services.users import gone_meanwhile
from api.authentication import APIKeyAuthentication
from api.errors import ApiKeyInvalid, Unreadable
from api.exception_handler import to_gatehouse_error
from api.negotiation import NoNegotiation
from api.parsers import StrictJSONParser
from api.permissions import HasRole, HasScope, Scope, auth_of
from core.errors import GatehouseError, RateLimited
from scim.errors import InvalidValue, ScimError
from scim.schemas import ERROR_URN

MEDIA_TYPE = "application/scim+json"
COUNT, COUNT_MAX = 100, 200
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}")
CLIENT = (HasScope(Scope.SCIM), HasRole(Role.ADMIN))


class ScimRenderer(JSONRenderer):
    """JSON under the media type of SCIM (RFC 7644, section 3.1)."""

    media_type = MEDIA_TYPE
    format = "scim"


class ScimParser(StrictJSONParser):
    """JSON under the media type of SCIM. application/json is accepted as well."""

    media_type = MEDIA_TYPE


class ScimView(APIView):
    """Base of the endpoints: an API key of an administrator with the scope `scim`."""

    authentication_classes: tuple[type[BaseAuthentication], ...] = (APIKeyAuthentication,)
    content_negotiation_class = NoNegotiation
    renderer_classes = (ScimRenderer,)
    parser_classes: tuple[type[BaseParser], ...] = (ScimParser, StrictJSONParser)
    # /Schemas describes these endpoints, and not the OpenAPI document.
    schema = None

    def get_exception_handler(self) -> Any:
        return exception_handler


def exception_handler(exc: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """The error as RFC 7644, section 3.12, writes it; None for an unexpected one."""
    if isinstance(exc, ScimError):
        return error_response(exc.status, exc.detail, exc.scim_type)
    user = getattr(context["request"]._request, "user", None)
    error = to_gatehouse_error(exc) or gone_meanwhile(exc, user)
    return None if error is None else _response_of(error)


def error_response(status: int, detail: str, scim_type: str = "") -> HttpResponse:
    """An error message of SCIM."""
    content = {"schemas": [ERROR_URN], "status": str(status), "detail": detail}
    if scim_type:
        content["scimType"] = scim_type
    return JsonResponse(content, status=status, content_type=MEDIA_TYPE)


def _response_of(error: GatehouseError) -> HttpResponse:
    """The answer for an error of Gatehouse. A key that is not valid is a 401 here (3.12)."""
    status = 401 if isinstance(error, ApiKeyInvalid) else error.status
    scim_type = "invalidSyntax" if isinstance(error, Unreadable) else ""
    response = error_response(status, error.sentences, scim_type)
    if status == 401:
        response["WWW-Authenticate"] = error.challenge or "Bearer"
    if isinstance(error, RateLimited):
        response["Retry-After"] = str(error.retry_after_seconds)
    return response


def actor_of(request: Request) -> User:
    return auth_of(request).user


def if_match_of(request: Request) -> str:
    return str(request.headers.get("If-Match", ""))


def names_of(parameters: Mapping[str, Any], name: str) -> list[str]:
    """A list of names: separated by commas in a URL, a list in a body."""
    found = parameters.get(name.lower(), [])
    texts = found.split(",") if isinstance(found, str) else found
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InvalidValue(f"{name} must be a list of names.")
    return texts


def number_of(parameters: Mapping[str, Any], name: str, default: int) -> int:
    """A number of a URL or a body. Raises InvalidValue."""
    found = str(parameters.get(name.lower(), default))
    if not _NUMBER.fullmatch(found):
        raise InvalidValue(f"{name} must be a whole number.")
    return int(found)


def text_of(parameters: Mapping[str, Any], name: str) -> str:
    found = parameters.get(name.lower(), "")
    if not isinstance(found, str):
        raise InvalidValue(f"{name} must be a text.")
    return found


def folded(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with their names in lower case."""
    return {name.lower(): parameters[name] for name in parameters}


def resource_response(resource: dict[str, Any], shown: dict[str, Any], status: int) -> Response:
    """A resource with its location and version. shown: what the client asked to see of it."""
    meta = resource["meta"]
    headers = {"ETag": meta["version"], "Location" if status == 201 else "Content-Location":
               meta["location"]}  # fmt: skip
    return Response(shown, status=status, headers=headers)
