"""The parameter `claims` and `acr_values`: OpenID Connect Core, sections 5.5 and 3.1.2.1."""

import json
from typing import Any

import jwt
import pytest
from django.test import Client

from accounts.models import User
from oidc_provider.models import Consent, Grant
from oidc_provider.services.access import access_of
from tests.mfa.authenticator import set_up_app
from tests.oidc_provider.relying_party import RelyingParty, answer_of, decide, make_client

pytestmark = pytest.mark.django_db
FIRST, SECOND = "urn:gatehouse:acr:1fa", "urn:gatehouse:acr:2fa"


def claims_in(tokens: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(tokens["id_token"], options={"verify_signature": False})
    return found


def asking(**places: Any) -> dict[str, str]:
    """Parameters of a request without scopes but openid."""
    return {"scope": "openid", "claims": json.dumps(places)}


def test_single_claims_are_told_where_they_are_asked_for(
    party: RelyingParty, browser: Client, viewer: User
) -> None:
    """oidcc-claims-essential; oidcc-ensure-request-with-unknown-parameter of claims, too."""
    asked = asking(
        userinfo={"name": {"essential": True}, "email": None, "shoe_size": None},
        id_token={"groups": None, "auth_time": {"essential": True}, "email": "broken"},
        unknown={"name": None},
    )

    tokens = party.sign_in(browser, **asked)

    told = party.userinfo(tokens["access_token"]).json()
    assert told == {"sub": str(viewer.pk), "name": viewer.get_full_name(), "email": viewer.email}
    claims = claims_in(tokens)
    assert (claims["groups"], claims["email"]) == (["viewer"], viewer.email)
    assert "name" not in claims
    assert claims["auth_time"] > 0
    # A refresh tells the same; a token with less of the scope, less.
    again = party.refresh(tokens["refresh_token"]).json()
    assert claims_in(again)["groups"] == ["viewer"]
    plain = party.sign_in(browser, scope="openid")
    assert list(party.userinfo(plain["access_token"]).json()) == ["sub"]


def test_a_token_with_less_tells_no_single_claims(party: RelyingParty, browser: Client) -> None:
    asked = asking(userinfo={"email": None}) | {"scope": "openid profile"}
    tokens = party.sign_in(browser, **asked)
    assert "email" in party.userinfo(tokens["access_token"]).json()

    less = party.refresh(tokens["refresh_token"], scope="openid").json()

    assert list(party.userinfo(less["access_token"]).json()) == ["sub"]


def test_people_allow_single_claims_like_scopes(browser: Client, viewer: User) -> None:
    """Nobody learns an address by asking for it in another way."""
    party = RelyingParty(make_client(is_trusted=False))
    decide(browser, party.authorize(browser, scope="openid"), "allow")
    assert "code" in answer_of(party.authorize(browser, scope="openid"))

    page = party.authorize(browser, **asking(id_token={"email": None}))

    assert page.status_code == 200
    assert b"see your email address" in page.content
    code = answer_of(decide(browser, page, "allow"))["code"]
    assert claims_in(party.redeem(code).json())["email"] == viewer.email
    assert Consent.objects.get().scope == "openid email"
    assert access_of(viewer)[0].scope == ("openid", "email")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '"x"',
        '{"userinfo": []}',
        '{"id_token": "x"}',
        "[" * 2000,
        "x" * 4097,
        '{"id_token": {"acr": {"essential": true, "values": ["\\u0000"]}}}',
        '{"userinfo": {"sub": {"value": "\\ud800"}}}',
    ],
)
def test_what_is_no_object_of_claims_is_an_error(
    party: RelyingParty, browser: Client, text: str
) -> None:
    assert answer_of(party.authorize(browser, claims=text))["error"] == "invalid_request"


def test_only_the_user_whom_sub_names_is_named(
    party: RelyingParty, browser: Client, viewer: User, owner: User
) -> None:
    """Core, section 5.5.1: a positive answer about that user only."""
    for right in ({"value": str(viewer.pk)}, {"values": [str(owner.pk), str(viewer.pk)]}):
        assert "code" in answer_of(party.authorize(browser, **asking(id_token={"sub": right})))
    for wrong in (
        asking(id_token={"sub": {"value": str(owner.pk)}}),
        asking(userinfo={"sub": {"values": [str(owner.pk)]}}),
        asking(userinfo={"sub": {"value": "a"}}, id_token={"sub": {"value": str(viewer.pk)}}),
    ):
        assert answer_of(party.authorize(browser, **wrong))["error"] == "login_required"


def test_an_essential_acr_is_reached_or_refused(
    party: RelyingParty, browser: Client, stranger: Client, viewer: User
) -> None:
    """Section 5.5.1.1. acr_values, or acr that is not essential, is a hint: the token says what is.

    oidcc-ensure-request-with-acr-values-succeeds.
    """
    essential = {"essential": True, "values": [SECOND]}
    found = party.sign_in(browser, acr_values=f"{SECOND} {FIRST}")
    assert claims_in(found)["acr"] == FIRST
    found = party.sign_in(browser, **asking(id_token={"acr": {"values": [SECOND]}}))
    assert claims_in(found)["acr"] == FIRST
    asked = asking(id_token={"acr": essential})
    refused = answer_of(party.authorize(browser, **asked))
    assert refused["error"] == "unmet_authentication_requirements"
    lower = asking(id_token={"acr": {"essential": True, "value": FIRST}})
    assert claims_in(party.sign_in(browser, **lower))["acr"] == FIRST

    app = set_up_app(viewer)
    stranger.post("/sign-in", {"login": viewer.email, "password": "correct horse battery staple"})
    stranger.post("/second-factor", {"code": app.code()})

    assert claims_in(party.sign_in(stranger, **asked))["acr"] == SECOND
    assert claims_in(party.sign_in(stranger, **lower))["acr"] == FIRST
    assert Grant.objects.filter(claims={"acrs": [FIRST]}).count() == 2
