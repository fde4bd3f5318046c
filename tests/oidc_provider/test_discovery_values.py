"""What discovery promises and no test of a flow carries out: each way of authentication at each
endpoint, each algorithm, each claim, each language."""

import base64
from typing import Any

import pytest
from django.test import Client

from accounts.models import Group, Membership, User
from oidc_provider.models import Grant
from oidc_provider.views.metadata import metadata
from tests.oidc_provider.relying_party import RelyingParty, make_client
from tests.oidc_provider.test_claims import claims_in
from tests.oidc_provider.test_client_assertions import JWK, RSA, RSA_JWK, assertion, proof
from tests.oidc_provider.test_signing import read

pytestmark = pytest.mark.django_db
METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt", "none")
ALGORITHMS = ("ES256", "RS256", "PS256")


def party_by(method: str, owner: User) -> RelyingParty:
    """An app that proves itself in this way."""
    if method == "none":
        return RelyingParty(make_client())
    if method != "private_key_jwt":
        return RelyingParty(make_client("web"), owner)
    return RelyingParty(
        make_client("web", client_authentication=method, client_keys=[JWK, RSA_JWK])
    )


def proven(
    party: RelyingParty, method: str, algorithm: str
) -> tuple[dict[str, str], dict[str, str]]:
    """What the app sends as (fields, headers) to prove itself."""
    client_id = party.app.client_id
    if method == "client_secret_basic":
        pair = base64.b64encode(f"{client_id}:{party.secret}".encode()).decode()
        return {}, {"authorization": f"Basic {pair}"}
    if method == "client_secret_post":
        return {"client_id": client_id, "client_secret": party.secret}, {}
    if method == "none":
        return {"client_id": client_id}, {}
    if algorithm == "ES256":
        return proof(assertion(party)), {}
    return proof(assertion(party, RSA, algorithm, "two")), {}


@pytest.mark.parametrize(
    ("method", "algorithm"),
    [(name, "") for name in METHODS if name != "private_key_jwt"]
    + [("private_key_jwt", name) for name in ALGORITHMS],
)
def test_an_app_proves_itself_at_each_endpoint_in_each_way(
    browser: Client, owner: User, method: str, algorithm: str
) -> None:
    document = metadata()
    for name in ("token", "revocation"):
        assert document[f"{name}_endpoint_auth_methods_supported"] == [*METHODS]
    assert document["introspection_endpoint_auth_methods_supported"] == [*METHODS[:3]]
    for name in ("token", "revocation", "introspection"):
        found = document[f"{name}_endpoint_auth_signing_alg_values_supported"]
        assert found == [*ALGORITHMS]
    party = party_by(method, owner)

    def send(endpoint: str, **form: str) -> Any:
        fields, headers = proven(party, method, algorithm)
        return party.post(document[f"{endpoint}_endpoint"], {**form, **fields}, **headers)

    pkce = {"code_verifier": "v" * 43, "redirect_uri": party.callback}
    tokens = send("token", grant_type="authorization_code", code=party.code(browser), **pkce).json()
    told = send("introspection", token=tokens["access_token"])
    if method == "none":
        assert (told.status_code, told.json()["code"]) == (401, "invalid_client")
    else:
        assert (told.status_code, told.json()["active"]) == (200, True)
    assert send("revocation", token=tokens["access_token"]).status_code == 200

    assert Grant.objects.get().end_reason == "revoked"


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_each_algorithm_signs_id_tokens_and_userinfo(browser: Client, algorithm: str) -> None:
    party = RelyingParty(make_client(id_token_algorithm=algorithm, signed_userinfo=True))

    tokens = party.sign_in(browser)

    claims = read(party, tokens["id_token"], algorithm)
    told = read(party, party.userinfo(tokens["access_token"]).content.decode(), algorithm)
    assert told["sub"] == claims["sub"]


def test_each_claim_is_told(party: RelyingParty, viewer: User, browser: Client) -> None:
    User.objects.filter(pk=viewer.pk).update(time_zone="Europe/Berlin")
    Membership.objects.create(user=viewer, group=Group.objects.create(name="staff"))

    claims = claims_in(party.sign_in(browser))

    assert sorted(claims) == sorted(metadata()["claims_supported"])
    assert sorted(claims) == [
        "acr",
        "amr",
        "at_hash",
        "aud",
        "auth_time",
        "email",
        "email_verified",
        "exp",
        "groups",
        "iat",
        "iss",
        "locale",
        "name",
        "nonce",
        "preferred_username",
        "sid",
        "sub",
        "zoneinfo",
    ]
    assert (claims["zoneinfo"], claims["groups"]) == ("Europe/Berlin", ["viewer", "staff"])
    # "normal": told by value, not by a reference to another server.
    assert metadata()["claim_types_supported"] == ["normal"]
    assert {"_claim_names", "_claim_sources"}.isdisjoint(claims)


@pytest.mark.parametrize("language", ["en", "de"])
def test_pages_are_shown_in_each_language(browser: Client, language: str) -> None:
    party = RelyingParty(make_client(is_trusted=False))

    page = party.authorize(browser, ui_locales=f"xx {language}")

    assert f'lang="{language}"'.encode() in page.content


def test_what_is_not_promised_is_not_there(party: RelyingParty, stranger: Client) -> None:
    """No session management, no request objects; no registration until an owner opens it."""
    document = metadata()
    for name in ("registration_endpoint", "check_session_iframe",
                 "request_object_signing_alg_values_supported"):  # fmt: skip
        assert name not in document
    for name in ("request_parameter_supported", "request_uri_parameter_supported"):
        assert document[name] is False
    assert document["require_pushed_authorization_requests"] is False
