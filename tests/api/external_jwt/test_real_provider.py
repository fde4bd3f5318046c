"""A certified OpenID provider: its tokens, and its new keys."""

from collections.abc import Callable

import pytest

from api.errors import AccessTokenInvalid
from api.external_jwt.policy import Policy
from federation.oidc.keys import FetchedKeys
from tests.api.external_jwt.providers import DISCOVERY, Clock, ReadingVerifier, authenticate
from tests.servers.node import RESOURCE, OpenIDProvider

Trust = Callable[..., None]


@pytest.fixture
def verifier(openid_provider: OpenIDProvider, clock: Clock) -> ReadingVerifier:
    issuer = openid_provider.issuer
    return ReadingVerifier(
        Policy((issuer,), (RESOURCE, "page")), {issuer: FetchedKeys(issuer, clock=clock)}
    )


def test_its_access_token_is_accepted(
    openid_provider: OpenIDProvider, verifier: ReadingVerifier
) -> None:
    claims = verifier.verify(openid_provider.sign_in("paula")["access_token"])

    assert (claims.issuer, claims.subject) == (openid_provider.issuer, "paula")
    assert (claims.email, claims.email_verified) == ("paula@example.com", True)
    assert claims.name == "Person paula"


def test_the_token_of_a_client_credentials_grant_is_accepted(
    openid_provider: OpenIDProvider, verifier: ReadingVerifier
) -> None:
    claims = verifier.verify(openid_provider.robot_token())

    assert (claims.subject, claims.email) == ("robot", None)


def test_its_id_token_is_refused(
    openid_provider: OpenIDProvider, verifier: ReadingVerifier
) -> None:
    """Though its audience is on the list, too."""
    with pytest.raises(AccessTokenInvalid, match="not an access token"):
        verifier.verify(openid_provider.sign_in("paula")["id_token"])


def test_its_new_key_is_found_and_its_old_one_ends(
    openid_provider: OpenIDProvider, verifier: ReadingVerifier, clock: Clock
) -> None:
    old = openid_provider.robot_token()
    assert verifier.verify(old).subject == "robot"

    openid_provider.rotate(keep=True)
    both = openid_provider.robot_token()
    clock.now += 61
    assert verifier.verify(both).subject == "robot"
    assert verifier.verify(old).subject == "robot"

    openid_provider.rotate(keep=False)
    new = openid_provider.robot_token()
    clock.now += 61
    assert verifier.verify(new).subject == "robot"
    for gone in (old, both):
        with pytest.raises(AccessTokenInvalid):
            verifier.verify(gone)


def test_forged_tokens_cause_one_fetch(
    openid_provider: OpenIDProvider, verifier: ReadingVerifier
) -> None:
    before = openid_provider.fetched("/jwks"), openid_provider.fetched(DISCOVERY)
    token = openid_provider.robot_token()
    _header, payload, signature = token.split(".")
    verifier.verify(token)

    for kid in ("eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ", "eyJhbGciOiJSUzI1NiIsImtpZCI6ImIifQ") * 20:
        with pytest.raises(AccessTokenInvalid):
            verifier.verify(f"{kid}.{payload}.{signature}")

    after = openid_provider.fetched("/jwks"), openid_provider.fetched(DISCOVERY)
    assert after == (before[0] + 1, before[1] + 1)


@pytest.mark.django_db
def test_its_user_gets_an_account(openid_provider: OpenIDProvider, trust: Trust) -> None:
    trust(openid_provider.issuer, AUTH_JWT_AUDIENCE=(RESOURCE,), AUTH_JWT_REGISTRATION=True)

    first, _claims = authenticate(openid_provider.sign_in("otto")["access_token"])
    second, _claims = authenticate(openid_provider.sign_in("otto")["access_token"])

    assert (first.email, first.role) == ("otto@example.com", "none")
    assert second.pk == first.pk
