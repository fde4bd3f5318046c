"""By which algorithm an app gets its ID tokens, and its answers of userinfo."""

import base64
import hashlib
from typing import Any

import jwt
import pytest
from django.test import Client

from accounts.models import User
from api.models import SigningKey
from api.tokens.signing_keys import key_set_cache
from tests.oidc_provider.relying_party import RelyingParty, make_client

pytestmark = pytest.mark.django_db


def read(party: RelyingParty, text: str, algorithm: str) -> dict[str, Any]:
    """The claims of a token, verified as an app does that accepts one algorithm."""
    keys = jwt.PyJWKSet.from_dict(party.http.get("/.well-known/jwks.json").json())
    kid = jwt.get_unverified_header(text)["kid"]
    claims: dict[str, Any] = jwt.decode(
        text, keys[kid], algorithms=[algorithm], audience=party.app.client_id
    )
    return claims


def test_each_app_gets_the_algorithm_that_it_has_chosen(browser: Client, viewer: User) -> None:
    """oidcc-idtoken-rs256, oidcc-userinfo-rs256; one key set publishes both keys at once."""
    usual = RelyingParty(make_client())
    other = RelyingParty(make_client(id_token_algorithm="RS256", signed_userinfo=True))
    key_set_cache.forget()
    published = usual.http.get("/.well-known/jwks.json").json()["keys"]
    assert [key["alg"] for key in published] == ["ES256", "RS256"]

    first, second = usual.sign_in(browser), other.sign_in(browser)

    assert read(usual, first["id_token"], "ES256")["sub"] == str(viewer.pk)
    claims = read(other, second["id_token"], "RS256")
    half = hashlib.sha256(second["access_token"].encode()).digest()[:16]
    assert claims["at_hash"] == base64.urlsafe_b64encode(half).rstrip(b"=").decode()
    told = other.userinfo(second["access_token"])
    assert (told["Content-Type"], told["Cache-Control"]) == ("application/jwt", "no-store")
    about = read(other, told.content.decode(), "RS256")
    assert (about.pop("iss"), about.pop("aud")) == ("http://localhost:8000", other.app.client_id)
    assert about == usual.userinfo(first["access_token"]).json()
    # None of them is a token of the API.
    for text in (told.content.decode(), second["id_token"]):
        answer = usual.http.get("/api/v1/me", headers={"authorization": f"Bearer {text}"})
        assert answer.status_code == 401
    # As a hint of who is signed in, an ID token of any of the keys is read.
    hinted = other.authorize(browser, prompt="none", id_token_hint=second["id_token"])
    assert "code=" in hinted["Location"]
    assert SigningKey.objects.count() == 2
