"""Discovery says what is true: the plan oidcc-config, RFC 8414."""

from typing import Any

import pytest
from django.test import Client
from django.urls import resolve

from oidc_provider import parameters, scopes
from oidc_provider.views.tokens import GRANT_TYPES

pytestmark = pytest.mark.django_db
WELL_KNOWN = "/.well-known/openid-configuration"


@pytest.fixture
def document(stranger: Client) -> dict[str, Any]:
    answer = stranger.get(WELL_KNOWN)
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (200, "*")
    found: dict[str, Any] = answer.json()
    return found


def test_the_document_names_what_the_code_does(document: dict[str, Any], stranger: Client) -> None:
    """oidcc-discovery-endpoint-verification. tests/oidc_provider uses every value of it."""
    for name, url in document.items():
        if name.endswith("_endpoint"):
            found = resolve(url.removeprefix("http://localhost:8000")).app_name
            assert found == ("applications_api" if "introspection" in name else "oidc_provider")
    assert stranger.get(document["jwks_uri"]).json()["keys"][0]["alg"] == "ES256"
    assert document["issuer"] == "http://localhost:8000"
    assert document["response_types_supported"] == [*parameters.RESPONSE_TYPES]
    assert document["grant_types_supported"] == [*GRANT_TYPES]
    assert document["scopes_supported"] == [*scopes.NAMES]
    for name in ("id_token", "userinfo"):
        assert document[f"{name}_signing_alg_values_supported"] == ["ES256", "RS256"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    oauth = stranger.get("/.well-known/oauth-authorization-server")
    assert oauth.json() == document
    assert stranger.post(WELL_KNOWN).status_code == 405


def test_the_issuer_is_no_matter_of_the_host(document: dict[str, Any], settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    other = Client(headers={"host": "evil.example"}).get(WELL_KNOWN)

    assert other.json() == document
