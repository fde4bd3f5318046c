"""From the click to the session at certified providers that look like Authentik and others."""

import pytest
from django.test import Client

from accounts.models import User
from audit.models import AuditEvent
from federation.models import ExternalIdentity
from tests.conftest import path_in
from tests.federation.oidc.conftest import (
    UseProviders,
    branded_env,
    leads_to,
    path_of,
    query_of,
    start,
)
from tests.servers.branded_providers import BrandedProviders

pytestmark = pytest.mark.django_db
ENTRA = "microsoft-entra-id"


def sign_in(client: Client, branded_providers: BrandedProviders, provider: str):
    return client.get(path_of(branded_providers.visit(start(client, provider))))


def test_an_authentik_user_signs_in_after_verifying_their_address(
    branded_providers: BrandedProviders, use_providers: UseProviders, stranger: Client, mails
) -> None:
    """Issuer with a path and a slash, the callback of an older set-up, no email_verified."""
    use_providers(**branded_env(branded_providers), SSO_ROLES_MAPPING='{"Gate editors": "editor"}')
    branded_providers.person(
        "authentik", sub="a1", email="Anna@Example.com", name="Anna A", groups=["Gate editors"]
    )

    first = sign_in(stranger, branded_providers, "authentik")

    user = User.objects.get(email="anna@example.com")
    assert first.status_code == 200
    assert "accounts/verify_sent.html" in [template.name for template in first.templates]
    assert (user.role, user.is_verified, user.name) == ("editor", False, "Anna A")
    assert stranger.get("/account/").status_code == 302

    stranger.post(path_in(mails()[-1]))
    second = sign_in(stranger, branded_providers, "authentik")

    assert (second.status_code, second["Location"]) == (302, "/account/")
    assert stranger.get("/account/").status_code == 200
    identity = ExternalIdentity.objects.get()
    assert (identity.provider, identity.subject) == ("authentik", "a1")
    assert identity.issuer == f"{branded_providers.origin}/application/o/gate"
    row = AuditEvent.objects.get(action="account:session:start", result="success")
    assert (row.target_id, row.detail["methods"]) == (user.pk, ["authentik"])


def test_a_microsoft_user_is_identified_by_tenant_and_object_id(
    branded_providers: BrandedProviders, use_providers: UseProviders, stranger: Client, viewer: User
) -> None:
    use_providers(**branded_env(branded_providers), TRUSTED_EMAIL_PROVIDERS=ENTRA)
    claims = {"sub": "pairwise", "tid": "t-1", "oid": "o-1", "email_verified": True}
    branded_providers.person("azure", **claims, email=viewer.email, upn=viewer.email)

    refused = sign_in(stranger, branded_providers, ENTRA)

    assert refused.status_code == 403
    assert ExternalIdentity.objects.count() == 0
    assert stranger.get("/account/").status_code == 302

    branded_providers.person(
        "azure", **claims, upn="mia@corp.example.com", preferred_username="mia"
    )
    sign_in(stranger, branded_providers, ENTRA)

    identity = ExternalIdentity.objects.get()
    assert (identity.subject, identity.user.email) == ("t-1:o-1", "mia@corp.example.com")
    assert identity.user.is_verified is False
    assert stranger.get("/account/").status_code == 302


def test_a_cognito_user_signs_in_with_the_role_of_a_group(
    branded_providers: BrandedProviders, use_providers: UseProviders, stranger: Client
) -> None:
    use_providers(
        **branded_env(branded_providers), SSO_ROLES_MAPPING='{"leads": "admin", "all": "viewer"}'
    )
    person = {"sub": "c1", "email": "carl@example.com", "email_verified": True}
    branded_providers.person("cognito", **person, **{"cognito:groups": ["all", "leads"]})

    url = start(stranger, "cognito", next="/account/password")
    answer = stranger.get(path_of(branded_providers.visit(url)))

    assert query_of(url)["nonce"]
    assert query_of(url)["code_challenge_method"] == "S256"
    assert (answer.status_code, answer["Location"]) == (302, "/account/password")
    user = User.objects.get(email="carl@example.com")
    assert (user.role, user.is_verified) == ("admin", True)
    assert stranger.get("/account/").status_code == 200


def test_the_string_true_does_not_verify_an_address(
    branded_providers: BrandedProviders, use_providers: UseProviders, stranger: Client
) -> None:
    use_providers(**branded_env(branded_providers))
    branded_providers.person("cognito", sub="c2", email="dora@example.com", email_verified="true")

    sign_in(stranger, branded_providers, "cognito")

    assert User.objects.get(email="dora@example.com").is_verified is False
    assert stranger.get("/account/").status_code == 302


def test_a_denied_consent_has_its_own_page(
    branded_providers: BrandedProviders, use_providers: UseProviders, stranger: Client
) -> None:
    use_providers(**branded_env(branded_providers))
    branded_providers.person("authentik")

    answer = sign_in(stranger, branded_providers, "authentik")

    assert answer.status_code == 403
    row = AuditEvent.objects.get(action="account:session:start", result="refused")
    assert row.detail["reason"].startswith("cancelled")
    assert stranger.get("/account/").status_code == 302


def test_new_keys_of_the_provider_are_found(
    branded_providers: BrandedProviders,
    use_providers: UseProviders,
    stranger: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_providers(**branded_env(branded_providers))
    person = {"sub": "c3", "email": "eva@example.com", "email_verified": True}
    branded_providers.person("cognito", **person)
    sign_in(stranger, branded_providers, "cognito")
    assert stranger.get("/account/").status_code == 200
    # The pause between two fetches; here it is over at once.
    monkeypatch.setattr("federation.oidc.keys.FetchedKeys._may_fetch", lambda _keys: True)

    branded_providers.rotate()
    branded_providers.person("cognito", **person)
    other = Client(headers={"host": "localhost:8000"})
    sign_in(other, branded_providers, "cognito")

    assert other.get("/account/").status_code == 200
    assert User.objects.filter(email="eva@example.com").count() == 1


def test_a_signed_in_user_connects_a_provider(
    branded_providers: BrandedProviders, use_providers: UseProviders, editor: User, browser_of
) -> None:
    use_providers(**branded_env(branded_providers))
    branded_providers.person("authentik", sub="e9", email="somebody.else@example.com")
    client = browser_of(editor)

    url = leads_to(client.post("/account/identities/authentik/connect"))
    answer = client.get(path_of(branded_providers.visit(url)))

    assert (answer.status_code, answer["Location"]) == (303, "/account/?notice=connected")
    assert ExternalIdentity.objects.get().user == editor
    assert User.objects.count() == 1
    assert AuditEvent.objects.filter(action="account:identity:connect").count() == 1


def test_sign_out_leads_to_the_provider_which_ends_its_session(
    branded_providers: BrandedProviders, use_providers: UseProviders, stranger: Client
) -> None:
    use_providers(**branded_env(branded_providers), OPENID_USE_END_SESSION_ENDPOINT="true")
    branded_providers.person("cognito", sub="c5", email="finn@example.com", email_verified=True)
    sign_in(stranger, branded_providers, "cognito")
    assert stranger.get("/account/").status_code == 200

    url = leads_to(stranger.post("/sign-out"))

    assert url.startswith(f"{branded_providers.origin}/pool/session/end?")
    query = query_of(url)
    assert query["client_id"] == "gatehouse"
    assert query["post_logout_redirect_uri"] == "http://localhost:8000/sign-in"
    assert query["id_token_hint"].count(".") == 2
    assert stranger.get("/account/").status_code == 302
