"""What the provider can do (OpenID Connect Discovery, RFC 8414), made from the code's tables."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse

from applications.client_keys import ALGORITHMS as ASSERTION_ALGORITHMS
from applications.models import ASSERTION, App
from applications.services.custom_scopes import public_names
from core.errors import NotFound
from core.web.problem_details import problem_of
from oidc_provider import authentication, parameters, scopes
from oidc_provider.services.registration import is_open
from oidc_provider.signing import algorithms, is_available
from oidc_provider.views.machine import CORS_HEADERS
from oidc_provider.views.tokens import GRANT_TYPES

MAX_AGE_SECONDS = 300
BY_PROOF = ("client_secret_basic", "client_secret_post", ASSERTION)
CLIENT_AUTHENTICATION = (*BY_PROOF, "none")
INTROSPECTION = "applications_api:introspect"


def metadata() -> dict[str, Any]:
    """The document. The issuer is PUBLIC_URL, never the host that was asked."""
    return {
        "issuer": settings.PUBLIC_URL,
        "authorization_endpoint": url_of("authorize"),
        "token_endpoint": url_of("token"),
        "userinfo_endpoint": url_of("userinfo"),
        "device_authorization_endpoint": url_of("device-authorization"),
        "pushed_authorization_request_endpoint": url_of("par"),
        # Apps can be set up so that they have to.
        "require_pushed_authorization_requests": False,
        **({"registration_endpoint": url_of("registration")} if is_open() else {}),
        "revocation_endpoint": url_of("revoke"),
        "introspection_endpoint": f"{settings.PUBLIC_ORIGIN}{reverse(INTROSPECTION)}",
        "end_session_endpoint": url_of("end-session"),
        "jwks_uri": f"{settings.PUBLIC_URL}/.well-known/jwks.json",
        "scopes_supported": [*scopes.NAMES, *public_names()],
        "response_types_supported": list(parameters.RESPONSE_TYPES),
        "response_modes_supported": list(parameters.RESPONSE_MODES),
        "grant_types_supported": list(GRANT_TYPES),
        "acr_values_supported": list(authentication.ACR_VALUES),
        "subject_types_supported": [name for name, _label in App.SUBJECT_TYPES],
        "id_token_signing_alg_values_supported": list(algorithms()),
        "userinfo_signing_alg_values_supported": list(algorithms()),
        "token_endpoint_auth_methods_supported": list(CLIENT_AUTHENTICATION),
        "revocation_endpoint_auth_methods_supported": list(CLIENT_AUTHENTICATION),
        "introspection_endpoint_auth_methods_supported": list(BY_PROOF),
        **{
            f"{name}_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS)
            for name in ("token", "revocation", "introspection")
        },
        "claim_types_supported": ["normal"],
        "claims_supported": [
            *scopes.CLAIMS,
            *("iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash"),
        ],
        "code_challenge_methods_supported": list(parameters.CHALLENGE_METHODS),
        "prompt_values_supported": list(parameters.PROMPTS),
        "ui_locales_supported": [code for code, _name in settings.LANGUAGES],
        "claims_parameter_supported": True,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "frontchannel_logout_supported": True,
        "frontchannel_logout_session_supported": True,
        "request_parameter_supported": False,
        # True is the default of the standard.
        "request_uri_parameter_supported": False,
        "authorization_response_iss_parameter_supported": True,
    }


def url_of(name: str) -> str:
    """The absolute URL of one of our endpoints."""
    return f"{settings.PUBLIC_ORIGIN}{reverse(f'oidc_provider:{name}')}"


def discovery(request: HttpRequest) -> HttpResponse:
    """/.well-known/openid-configuration, and the same for RFC 8414."""
    if request.method not in ("GET", "HEAD"):
        response = JsonResponse({"error": "invalid_request"}, status=405)
        response["Allow"] = "GET, HEAD"
        return response
    if not is_available():
        return problem_of(NotFound())
    response = JsonResponse(metadata())
    for name, value in CORS_HEADERS.items():
        response[name] = value
    response["Cache-Control"] = f"public, max-age={MAX_AGE_SECONDS}"
    return response
