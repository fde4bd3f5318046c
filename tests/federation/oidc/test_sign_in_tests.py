"""A test of a sign-in through OpenID Connect: a refusal by the claims, without its effects."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import BrowserSession, User
from audit.models import AuditEvent
from federation.models import ExternalIdentity
from tests.federation.oidc.conftest import UseProviders, call_callback, leads_to, use_openid
from tests.federation.oidc.double import Double

pytestmark = pytest.mark.django_db
PAGE = "/admin/providers/openid/sign-in-test/"
TEAM_ONLY = {
    "OPENID_REQUIRED_ROLE": "team",
    "OPENID_REQUIRED_ROLE_PARAMETER_PATH": "roles",
    "OPENID_REQUIRED_ROLE_TOKEN_KIND": "id",
}


def test_a_mapping_that_refuses_ends_no_session(
    owner: User,
    browser_of: Callable[[User], Client],
    double: Double,
    use_providers: UseProviders,
) -> None:
    use_openid(use_providers, double, **TEAM_ONLY)
    ExternalIdentity.objects.create(
        user=owner, provider="openid", issuer=double.issuer, subject="nora"
    )
    panel = browser_of(owner)
    url = leads_to(panel.post(PAGE))
    id_token = lambda: {  # noqa: E731 - short
        "id_token": double.id_token(roles=["guests"], secret_hint="hush"),
        "access_token": "a",
    }
    double.give(id_token)

    led = call_callback(panel, double, url)

    assert (led.status_code, led["Location"]) == (303, PAGE)
    page = panel.get(PAGE)
    test = page.context["result"]["test"]
    assert (test.effect, test.code, test.subject) == ("refused", "role_required", "nora")
    assert b"guests" in page.content
    assert b"hush" not in page.content
    assert double.nonce.encode() not in page.content
    assert BrowserSession.objects.filter(user=owner).count() == 1
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.detail["reason"]) == ("settings:provider:test", "role_required")
    assert panel.get("/admin/").status_code == 200


def test_a_token_for_another_sign_in_is_a_failure(
    owner: User,
    browser_of: Callable[[User], Client],
    double: Double,
    use_providers: UseProviders,
) -> None:
    """The nonce binds the token to the test, as to a sign-in."""
    use_openid(use_providers, double)
    panel = browser_of(owner)
    url = leads_to(panel.post(PAGE))
    double.give(lambda: {"id_token": double.id_token(nonce="other"), "access_token": "a"})

    assert call_callback(panel, double, url).status_code == 303
    test = panel.get(PAGE).context["result"]["test"]
    assert (test.effect, test.code) == ("failed", "token_refused")
    assert test.claims == ()
