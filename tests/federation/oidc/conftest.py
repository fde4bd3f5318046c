"""Providers, and helpers to sign in through them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.http import HttpResponse
from django.test import Client

from accounts.models import BrowserSession, User
from audit.models import AuditEvent
from config.environment import load
from config.providers import sign_in_providers
from federation.models import ExternalIdentity
from federation.oidc.discovery import DISCOVERED
from tests.federation.oidc.double import CLIENT, CODE, Double
from tests.pages.pages import read
from tests.servers.branded_providers import SECRET, BrandedProviders

UseProviders = Callable[..., None]


@pytest.fixture(scope="session")
def branded_providers() -> Iterator[BrandedProviders]:
    """Certified providers in the dress of Authentik, Microsoft and Cognito."""
    providers = BrandedProviders()
    yield providers
    providers.stop()


@pytest.fixture
def double() -> Iterator[Double]:
    """A provider that misbehaves on request."""
    provider = Double()
    yield provider
    provider.stop()


@pytest.fixture
def use_providers(settings: Any, tmp_path: Path) -> Iterator[UseProviders]:
    """use_providers(NAME=value, …): the providers that these settings mean."""
    DISCOVERED.forget()

    def use(**environ: str) -> None:
        env = load(environ, None, data_dir=tmp_path)
        settings.SIGN_IN_PROVIDERS = sign_in_providers(env.values)

    yield use
    DISCOVERED.forget()


@pytest.fixture
def as_openid(double: Double, use_providers: UseProviders) -> Double:
    """The double as LibreChat's one provider."""
    use_openid(use_providers, double)
    return double


def use_openid(use_providers: UseProviders, double: Double, **further: str) -> None:
    use_providers(
        OPENID_CLIENT_ID=CLIENT,
        OPENID_CLIENT_SECRET="s: e/c",
        OPENID_ISSUER=double.issuer,
        **further,
    )


def branded_env(branded_providers: BrandedProviders) -> dict[str, str]:
    """LobeChat's settings of all three."""
    paths = {
        "AUTHENTIK": "/application/o/gate/",
        "MICROSOFT_ENTRA_ID": "/tenant/v2.0",
        "COGNITO": "/pool/.well-known/openid-configuration",
    }
    env = {"AUTH_SSO_PROVIDERS": "authentik,microsoft-entra-id,cognito"}
    for name, path in paths.items():
        env |= {
            f"AUTH_{name}_ID": "gatehouse",
            f"AUTH_{name}_SECRET": SECRET,
            f"AUTH_{name}_ISSUER": f"{branded_providers.origin}{path}",
        }
    return env


def start(client: Client, provider: str = "openid", **fields: str) -> str:
    """Click the button; the address at the provider to which the page leads."""
    answer = client.post(f"/oauth/{provider}/login", fields)
    assert answer.status_code == 200, answer.content
    return leads_to(answer)


def leads_to(answer: HttpResponse) -> str:
    """Where a page of leave() sends the browser; its link says the same."""
    page = read(answer.content)
    (refresh,) = [
        each.attributes["content"]
        for each in page.all("meta")
        if each.attributes.get("http-equiv") == "refresh"
    ]
    url = refresh.removeprefix("0; url=")
    assert url in [each.attributes.get("href") for each in page.all("a")]
    return url


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def call_callback(
    client: Client, double: Double, url: str, provider: str = "openid", **changes: Any
):
    """The double's answer to `url`, with changed parameters; None takes one away."""
    query = query_of(url)
    double.nonce = query.get("nonce", "")
    sent = {"code": CODE, "state": query["state"], "iss": double.issuer, **changes}
    sent = {name: value for name, value in sent.items() if value is not None}
    return client.get(f"/oauth/{provider}/callback", sent)


def sign_in(client: Client, double: Double, **changes: Any):
    """A whole sign-in by the double."""
    return call_callback(client, double, start(client), **changes)


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def assert_not_signed_in(client: Client, reason: str | None) -> None:
    """No session, no account, no identity; one audit row that says why."""
    assert client.get("/account/").status_code == 302
    assert BrowserSession.objects.filter(user__isnull=False).count() == 0
    assert ExternalIdentity.objects.count() == 0
    assert User.objects.filter(email="nora@example.com").count() == 0
    rows = AuditEvent.objects.filter(action="account:session:start")
    assert rows.filter(result="success").count() == 0
    if reason is not None:
        (row,) = rows.filter(result="refused")
        assert row.detail["reason"].startswith(reason)
