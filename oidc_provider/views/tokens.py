"""The endpoints that apps call: token, userinfo, revocation."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from applications.models import App
from applications.services.client_assertions import ASSERTION_FIELD, TYPE_FIELD
from applications.services.client_credentials import client_credentials
from applications.services.secrets import app_of_credentials
from core import sql
from core.errors import GatehouseError, RecordInvalid
from oidc_provider import scopes
from oidc_provider.claims import claims_of
from oidc_provider.errors import ProtocolError
from oidc_provider.services import app_scopes, codes, device_codes, grants, programs
from oidc_provider.signing import signed_for
from oidc_provider.views.machine import (
    PROOFS,
    Answer,
    bearer_of,
    client_of,
    endpoint,
    error_answer,
    json_response,
    jwt_response,
    single_fields,
)


@endpoint("POST")
def token(request: HttpRequest) -> HttpResponse:
    """Exchange a code, a refresh token or a program's own credentials for tokens (RFC 6749)."""
    form = single_fields(request)
    return json_response(_exchange(client_of(request, form), form))


def token_at_once(authorization: str | None, form: dict[str, str]) -> Answer | None:
    """As token(), without a request; None if that has to answer, and nothing has happened yet.

    For an app that exchanges a code or a refresh token, and is known by its secret or cannot keep
    one. Whatever is wrong with an app is for token() to count and to audit.
    """
    if form.get("grant_type") not in AT_ONCE:
        return None
    app = _client_at_once(authorization, form)
    if app is None or not app.is_openid_client:
        return None
    try:
        return Answer(_exchange(app, form))
    except (ProtocolError, GatehouseError) as error:
        return error_answer(error)


@endpoint("GET", "POST")
def userinfo(request: HttpRequest) -> HttpResponse:
    """The claims about the user of an access token (Core, section 5.3)."""
    text = _bearer(request)
    found = grants.find_access(text) if text else None
    if found is None:
        return _refused(text)
    if scopes.OPENID not in found.scope:
        return _without_openid()
    # A token with less than the user has allowed tells no single claims either.
    single = found.grant.claims.get("userinfo", ()) if found.is_whole else ()
    claims = claims_of(found.grant.app, found.grant.user, found.scope, single)
    if not found.grant.app.signed_userinfo:
        return json_response(claims)
    # Core, section 5.3.2: with issuer and audience, so that it is worth nothing to another app.
    about = {"iss": settings.PUBLIC_URL, "aud": found.grant.app.client_id}
    return jwt_response(signed_for(found.grant.app, claims | about))


@endpoint("POST")
def revoke(request: HttpRequest) -> HttpResponse:
    """End a grant by one of its tokens (RFC 7009). An unknown token is revoked already."""
    form = single_fields(request)
    app = client_of(request, form)
    if not form.get("token"):
        raise ProtocolError("invalid_request", "The parameter token is missing.")
    grant = grants.find_grant(form["token"])
    if grant is not None and grant.app_id != app.pk:
        raise ProtocolError("invalid_grant", "The token belongs to another client.")
    if grant is not None:
        grants.revoke(grant)
    return json_response({})


def _client_at_once(authorization: str | None, form: dict[str, str]) -> App | None:
    """See client_of(); None for an app that is unknown, or proves itself in another way."""
    if authorization is None and PROOFS.isdisjoint(form):
        found = sql.find(App, "client_id", form.get("client_id", "")[:255])
        return found if found is not None and found.is_public_client else None
    if ASSERTION_FIELD in form or TYPE_FIELD in form:
        return None
    try:
        given = client_credentials(authorization, form)
    except RecordInvalid:
        return None
    return None if given is None else app_of_credentials(*given)


def _exchange(app: App, form: dict[str, str]) -> dict[str, object]:
    """Raises ProtocolError and what services raise."""
    exchange = GRANT_TYPES.get(form.get("grant_type", ""))
    if exchange is None:
        raise ProtocolError("unsupported_grant_type")
    if (exchange is _by_client_credentials) is app.signs_people_in:
        raise ProtocolError("unauthorized_client", "The kind of the app has another grant type.")
    return exchange(app, form)


def _by_code(app: App, form: dict[str, str]) -> dict[str, object]:
    given = codes.Redemption(
        form.get("code", ""), form.get("redirect_uri", ""), form.get("code_verifier", "")
    )
    if not given.code or not given.redirect_uri:
        raise ProtocolError("invalid_request", "Send the code and its redirect_uri.")
    grant, nonce = codes.redeem(app, given)
    grants.require_live(grant)
    return grants.token_response(grant, nonce=nonce)


def _by_refresh_token(app: App, form: dict[str, str]) -> dict[str, object]:
    wanted = tuple(form.get("scope", "").split())
    grant, scope = grants.refresh(app, form.get("refresh_token", ""), wanted)
    return grants.token_response(grant, scope=scope)


def _by_device_code(app: App, form: dict[str, str]) -> dict[str, object]:
    grant = device_codes.redeem(app, form.get("device_code", ""))
    grants.require_live(grant)
    return grants.token_response(grant)


def _by_client_credentials(app: App, form: dict[str, str]) -> dict[str, object]:
    wanted = form.get("scope", "").split()
    names = app_scopes.known_to(app, wanted)
    if {*wanted} != {*names} or not {*names}.isdisjoint(scopes.OF_SIGN_INS):
        raise ProtocolError("invalid_scope", "A program may not have this scope.")
    return programs.issue_token(app, names or scopes.OF_PROGRAMS)


# Discovery names these, so it cannot name one that does not work.
GRANT_TYPES = {
    "authorization_code": _by_code,
    "refresh_token": _by_refresh_token,
    "client_credentials": _by_client_credentials,
    "urn:ietf:params:oauth:grant-type:device_code": _by_device_code,
}
# Those that are busy; see token_at_once().
AT_ONCE = ("authorization_code", "refresh_token")


def _bearer(request: HttpRequest) -> str:
    """The access token of the header or the body (RFC 6750); never of the URL. "" for none.

    Raises ProtocolError if there are two.
    """
    in_header = bearer_of(request)
    in_body = single_fields(request).get("access_token", "") if request.method == "POST" else ""
    if in_header and in_body:
        raise ProtocolError("invalid_request", "Send the access token once.")
    return in_header or in_body


def _without_openid() -> HttpResponse:
    """403: the token works, but tells of nobody who has signed in (RFC 6750, section 3.1)."""
    response = json_response({"error": "insufficient_scope"}, 403)
    response["WWW-Authenticate"] = (
        'Bearer realm="Gatehouse", error="insufficient_scope", scope="openid"'
    )
    return response


def _refused(text: str) -> HttpResponse:
    """401; with an error only if a token was sent (RFC 6750, section 3.1)."""
    members = {"error": "invalid_token", "error_description": "The access token does not work."}
    response = json_response(members if text else {}, 401)
    challenge = f', error="{members["error"]}", error_description="{members["error_description"]}"'
    response["WWW-Authenticate"] = f'Bearer realm="Gatehouse"{challenge if text else ""}'
    return response
