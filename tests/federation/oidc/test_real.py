"""From the click to the session at certified providers that look like Authentik and others."""

import pytest
from django.test import Client

from accounts.models import User
from audit.models import AuditEvent
from federation.models import ExternalIdentity
from tests.conftest import path_in
from tests.federation.oidc.conftest import (
    UseProviders,
    dressed_env,
    leads_to,
    path_of,
    query_of,
    start,
)
from tests.servers.branded_providers import DressedProviders

pytestmark = pytest.mark.django_db
ENTRA = "microsoft-entra-id"


def sign_in(client: Client, dressed: DressedProviders, provider: str):
    return client.get(path_of(dressed.visit(start(client, provider))))


def test_authentiks_person_gets_in_after_he_has_proved_his_address(
    dressed: DressedProviders, use_providers: UseProviders, stranger: Client, mails
) -> None:
    """Issuer with a path and a slash, the callback of an older set-up, no email_verified."""
    use_providers(**dressed_env(dressed), SSO_ROLES_MAPPING='{"Gate editors": "editor"}')
    dressed.person(
        "authentik", sub="a1", email="Anna@Example.com", name="Anna A", groups=["Gate editors"]
    )

    first = sign_in(stranger, dressed, "authentik")

    user = User.objects.get(email="anna@example.com")
    assert first.status_code == 200
    assert "accounts/verify_sent.html" in [template.name for template in first.templates]
    assert (user.role, user.is_verified, user.name) == ("editor", False, "Anna A")
    assert stranger.get("/account/").status_code == 302

    stranger.post(path_in(mails()[-1]))
    second = sign_in(stranger, dressed, "authentik")

    assert (second.status_code, second["Location"]) == (302, "/account/")
    assert stranger.get("/account/").status_code == 200
    identity = ExternalIdentity.objects.get()
    assert (identity.provider, identity.subject) == ("authentik", "a1")
    assert identity.issuer == f"{dressed.origin}/application/o/gate"
    row = AuditEvent.objects.get(action="account:session:start", result="success")
    assert (row.target_id, row.detail["methods"]) == (user.pk, ["authentik"])


def test_microsofts_person_is_tenant_and_object_and_his_address_is_no_proof(
    dressed: DressedProviders, use_providers: UseProviders, stranger: Client, viewer: User
) -> None:
    use_providers(**dressed_env(dressed), TRUSTED_EMAIL_PROVIDERS=ENTRA)
    claims = {"sub": "pairwise", "tid": "t-1", "oid": "o-1", "email_verified": True}
    dressed.person("azure", **claims, email=viewer.email, upn=viewer.email)

    refused = sign_in(stranger, dressed, ENTRA)

    assert refused.status_code == 403
    assert ExternalIdentity.objects.count() == 0
    assert stranger.get("/account/").status_code == 302

    dressed.person("azure", **claims, upn="mia@corp.example.com", preferred_username="mia")
    sign_in(stranger, dressed, ENTRA)

    identity = ExternalIdentity.objects.get()
    assert (identity.subject, identity.user.email) == ("t-1:o-1", "mia@corp.example.com")
    assert identity.user.is_verified is False
    assert stranger.get("/account/").status_code == 302


def test_cognitos_person_gets_in_with_nonce_and_role_of_a_group(
    dressed: DressedProviders, use_providers: UseProviders, stranger: Client
) -> None:
    use_providers(**dressed_env(dressed), SSO_ROLES_MAPPING='{"leads": "admin", "all": "viewer"}')
    person = {"sub": "c1", "email": "carl@example.com", "email_verified": True}
    dressed.person("cognito", **person, **{"cognito:groups": ["all", "leads"]})

    url = start(stranger, "cognito", next="/account/password")
    answer = stranger.get(path_of(dressed.visit(url)))

    assert query_of(url)["nonce"]
    assert query_of(url)["code_challenge_method"] == "S256"
    assert (answer.status_code, answer["Location"]) == (302, "/account/password")
    user = User.objects.get(email="carl@example.com")
    assert (user.role, user.is_verified) == ("admin", True)
    assert stranger.get("/account/").status_code == 200


def test_the_word_true_is_no_verified_address(
    dressed: DressedProviders, use_providers: UseProviders, stranger: Client
) -> None:
    use_providers(**dressed_env(dressed))
    dressed.person("cognito", sub="c2", email="dora@example.com", email_verified="true")

    sign_in(stranger, dressed, "cognito")

    assert User.objects.get(email="dora@example.com").is_verified is False
    assert stranger.get("/account/").status_code == 302


def test_who_says_no_there_comes_back_to_a_page_that_says_so(
    dressed: DressedProviders, use_providers: UseProviders, stranger: Client
) -> None:
    use_providers(**dressed_env(dressed))
    dressed.person("authentik")

    answer = sign_in(stranger, dressed, "authentik")

    assert answer.status_code == 403
    row = AuditEvent.objects.get(action="account:session:start", result="refused")
    assert row.detail["reason"].startswith("cancelled")
    assert stranger.get("/account/").status_code == 302


def test_new_keys_of_the_provider_are_found(
    dressed: DressedProviders,
    use_providers: UseProviders,
    stranger: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_providers(**dressed_env(dressed))
    person = {"sub": "c3", "email": "eva@example.com", "email_verified": True}
    dressed.person("cognito", **person)
    sign_in(stranger, dressed, "cognito")
    assert stranger.get("/account/").status_code == 200
    # The pause between two fetches; here it is over at once.
    monkeypatch.setattr("federation.oidc.keys.FetchedKeys._may_fetch", lambda _keys: True)

    dressed.rotate()
    dressed.person("cognito", **person)
    other = Client(headers={"host": "localhost:8000"})
    sign_in(other, dressed, "cognito")

    assert other.get("/account/").status_code == 200
    assert User.objects.filter(email="eva@example.com").count() == 1


def test_a_signed_in_person_connects_a_provider(
    dressed: DressedProviders, use_providers: UseProviders, editor: User, browser_of
) -> None:
    use_providers(**dressed_env(dressed))
    dressed.person("authentik", sub="e9", email="somebody.else@example.com")
    client = browser_of(editor)

    url = leads_to(client.post("/account/identities/authentik/connect"))
    answer = client.get(path_of(dressed.visit(url)))

    assert (answer.status_code, answer["Location"]) == (303, "/account/?notice=connected")
    assert ExternalIdentity.objects.get().user == editor
    assert User.objects.count() == 1
    assert AuditEvent.objects.filter(action="account:identity:connect").count() == 1


def test_sign_out_leads_to_the_provider_which_ends_its_session(
    dressed: DressedProviders, use_providers: UseProviders, stranger: Client
) -> None:
    use_providers(**dressed_env(dressed), OPENID_USE_END_SESSION_ENDPOINT="true")
    dressed.person("cognito", sub="c5", email="finn@example.com", email_verified=True)
    sign_in(stranger, dressed, "cognito")
    assert stranger.get("/account/").status_code == 200

    url = leads_to(stranger.post("/sign-out"))

    assert url.startswith(f"{dressed.origin}/pool/session/end?")
    query = query_of(url)
    assert query["client_id"] == "gatehouse"
    assert query["post_logout_redirect_uri"] == "http://localhost:8000/sign-in"
    assert query["id_token_hint"].count(".") == 2
    assert stranger.get("/account/").status_code == 302
