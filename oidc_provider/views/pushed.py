"""The endpoint to which apps push authorization requests (RFC 9126)."""

from django.http import HttpRequest, HttpResponse

from applications.redirect_uris import is_registered
from oidc_provider.errors import ProtocolError
from oidc_provider.parameters import PARAMETERS, STEP, read_request
from oidc_provider.services.pushed_requests import LIFETIME, push
from oidc_provider.signing import is_available
from oidc_provider.views.machine import (
    client_of,
    endpoint,
    json_response,
    limit_strangers,
    single_fields,
)

MAX_LENGTH = 32_000
PUSHED = tuple(name for name in PARAMETERS if name not in ("client_id", "request_uri", STEP))


@endpoint("POST")
def par(request: HttpRequest) -> HttpResponse:
    """Check a request as the authorization endpoint would, and return its `request_uri`."""
    form = single_fields(request)
    app = client_of(request, form)
    if not app.signs_people_in or not is_available():
        raise ProtocolError("unauthorized_client", "The app does not sign people in.")
    if "request_uri" in form:
        raise ProtocolError("invalid_request", "A pushed request has no request_uri.")
    given = {name: form[name] for name in PUSHED if name in form}
    if sum(map(len, given.values())) > MAX_LENGTH:
        raise ProtocolError("invalid_request", "The request is too long.", 413)
    any_port = app.openid_kind == "native"
    if not is_registered(given.get("redirect_uri", ""), app.redirect_uris, any_port=any_port):
        raise ProtocolError("invalid_request", "This redirect_uri is not registered.")
    read_request(given, is_public=app.is_public_client)
    limit_strangers(request, app)
    uri = push(app, {**given, "client_id": app.client_id})
    content = {"request_uri": uri, "expires_in": int(LIFETIME.total_seconds())}
    return json_response(content, 201)
