"""`GET /api/v1/me` with the token of another issuer."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.users import change_role, disable_user
from api.models import ForeignIdentity
from core import http
from tests.api.external_jwt.providers import Provider
from tests.servers.node import RESOURCE, OpenIDProvider

pytestmark = pytest.mark.django_db
Trust = Callable[..., None]


def _me(client: Client, token: str, **headers: str) -> tuple[int, dict[str, Any]]:
    answer = client.get("/api/v1/me", headers={"authorization": f"Bearer {token}", **headers})
    return answer.status_code, answer.json()


def _problem(client: Client, token: str) -> tuple[int, str]:
    status, body = _me(client, token)
    return status, body["code"]


@pytest.fixture
def known(provider: Provider, trust: Trust, viewer: User) -> Provider:
    """A trusted provider whose subject anna is the viewer."""
    trust(provider.issuer)
    long_ago = timezone.now() - timedelta(hours=1)
    User.objects.filter(pk=viewer.pk).update(credentials_valid_from=long_ago)
    ForeignIdentity.objects.create(issuer=provider.issuer, subject="anna", user=viewer)
    return provider


def test_a_user_of_a_certified_provider_is_authenticated(
    openid_provider: OpenIDProvider,
    trust: Trust,
    stranger: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Its process shares the cores with all other tests.
    monkeypatch.setattr(http, "TIMEOUT_SECONDS", 30.0)
    trust(openid_provider.issuer, AUTH_JWT_AUDIENCE=(RESOURCE,), AUTH_JWT_REGISTRATION=True)
    tokens = openid_provider.sign_in("hanna")

    status, me = _me(stranger, tokens["access_token"])

    assert status == 200, me
    assert (me["email"], me["role"]) == ("hanna@example.com", "none")
    assert _problem(stranger, tokens["id_token"]) == (401, "token_invalid")


def test_a_known_user_is_authenticated_as_themselves(
    known: Provider, stranger: Client, viewer: User
) -> None:
    status, me = _me(stranger, known.token(role="owner", email="owner@example.com"))

    assert (status, me["id"], me["role"]) == (200, str(viewer.pk), "viewer")


def test_the_claims_of_another_issuer_give_no_permission(known: Provider, stranger: Client) -> None:
    token = known.token(role="owner", roles=["owner"], groups=["owner"])

    answer = stranger.get("/api/v1/users", headers={"authorization": f"Bearer {token}"})

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_an_unknown_subject_is_rejected_with_a_message(known: Provider, stranger: Client) -> None:
    status, problem = _me(stranger, known.token(sub="bert"))

    assert (status, problem["code"]) == (403, "forbidden")
    assert problem["detail"] == (
        "No account matches this token, and automatic registration is off."
    )


def test_without_the_backend_the_token_is_invalid(
    known: Provider, stranger: Client, settings: Any
) -> None:
    settings.AUTH_BACKEND = "local"

    assert _problem(stranger, known.token()) == (401, "token_invalid")
    assert known.asked == {}


def test_an_expired_token_is_reported_as_expired(known: Provider, stranger: Client) -> None:
    issued = int(timezone.now().timestamp()) - 600

    assert _problem(stranger, known.token(iat=issued, exp=issued + 60)) == (401, "token_expired")


def test_the_access_policy_applies(known: Provider, stranger: Client, viewer: User) -> None:
    disable_user(actor=SYSTEM, user=viewer)

    assert _problem(stranger, known.token()) == (403, "account_disabled")


def test_a_changed_role_invalidates_older_tokens(
    known: Provider, stranger: Client, viewer: User
) -> None:
    issued = int(timezone.now().timestamp())
    token = known.token(iat=issued - 5)
    assert _me(stranger, token)[0] == 200
    change_role(actor=SYSTEM, user=viewer, role="editor")

    assert _problem(stranger, token) == (401, "token_invalid")
    status, me = _me(stranger, known.token(iat=issued + 2))
    assert (status, me["role"]) == (200, "editor")


def test_forged_tokens_are_refused_and_cause_one_fetch(known: Provider, stranger: Client) -> None:
    for number in range(20):
        token = known.token({"kid": f"forged-{number}"})
        assert _problem(stranger, token) == (401, "token_invalid")

    assert known.asked["/jwks"] == 1
