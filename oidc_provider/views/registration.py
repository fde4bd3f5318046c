"""The endpoints at which apps register themselves (RFC 7591), read that and end it (RFC 7592)."""

from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from accounts.rate_limits import check_rate_limit
from oidc_provider import scopes
from oidc_provider.client_metadata import metadata_of, read_body
from oidc_provider.errors import ProtocolError
from oidc_provider.models import Registration
from oidc_provider.services import registration
from oidc_provider.signing import algorithm_of, is_available
from oidc_provider.views.machine import bearer_of, endpoint, json_response

LIMIT = "app-registrations"
MAX_BODY = 64 * 1024


@endpoint("POST")
def register(request: HttpRequest) -> HttpResponse:
    """Store an app; the answer has its secret and the token by which it reads and ends itself."""
    check_rate_limit(request, LIMIT)
    if not is_available():
        raise ProtocolError("access_denied", "This server signs nobody in to apps.", 403)
    token = registration.require_token(bearer_of(request))
    made = registration.register(token, read_body(_body(request)))
    secret = {"client_secret": made.secret, "client_secret_expires_at": 0} if made.secret else {}
    return json_response(_described(made.app.registration, made.access) | secret, 201)


@endpoint("GET", "DELETE")
def registered(request: HttpRequest, client_id: str) -> HttpResponse:
    """What an app has registered, for itself; or delete it."""
    check_rate_limit(request, LIMIT)
    text = bearer_of(request)
    row = registration.find_registration(client_id, text)
    if request.method == "GET":
        return json_response(_described(row, text))
    registration.unregister(row)
    return HttpResponse(status=204)


def _described(row: Registration, access: str) -> dict[str, Any]:
    app = row.app
    path = reverse("oidc_provider:registered", args=[app.client_id])
    return {
        **metadata_of(app, row.method, algorithm_of(app)),
        "scope": " ".join((*scopes.NAMES, *app.custom_scopes)),
        "registration_client_uri": f"{settings.PUBLIC_ORIGIN}{path}",
        "registration_access_token": access,
    }


def _body(request: HttpRequest) -> bytes:
    """Raises ProtocolError."""
    try:
        body = request.body
    except RequestDataTooBig:
        body = None
    if body is None or len(body) > MAX_BODY:
        raise ProtocolError("invalid_client_metadata", "The metadata is too long.", 413)
    if request.content_type != "application/json":
        raise ProtocolError("invalid_client_metadata", "Send Content-Type: application/json.")
    return body
