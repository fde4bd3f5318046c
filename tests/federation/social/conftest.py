"""The double of the five providers, and helpers to sign in through it."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.http import HttpResponse
from django.test import Client

from accounts.roles import Role
from config.environment.registry.allauth_providers import label_of
from federation.providers import Provider, SignInSource
from tests.federation.social.double import SocialDouble

LABELS = {
    "google": "Google",
    "facebook": "Facebook",
    "github": "GitHub",
    "discord": "Discord",
    "apple": "Apple",
}


@pytest.fixture(scope="session")
def _double() -> Iterator[SocialDouble]:
    server = SocialDouble()
    yield server
    server.stop()


@pytest.fixture
def double(_double: SocialDouble) -> SocialDouble:
    """See SocialDouble; as new for each test."""
    _double.reset()
    return _double


@pytest.fixture
def offer(settings: Any, double: SocialDouble) -> Callable[..., tuple[Provider, ...]]:
    """offer("google", allows_registration=False) makes these the configured providers."""

    def configure(*kinds: str, **source: Any) -> tuple[Provider, ...]:
        settings.PROVIDER_INTERNAL_URLS = double.internal_urls
        settings.SIGN_IN_PROVIDERS = tuple(provider_of(kind, double, **source) for kind in kinds)
        return settings.SIGN_IN_PROVIDERS

    return configure


def provider_of(kind: str, double: SocialDouble, **changes: Any) -> Provider:
    source = SignInSource(kind, label_of(kind), allows_registration=True, default_role=Role.VIEWER)
    return Provider(
        dataclasses.replace(source, **changes),
        kind=kind,
        client_id=f"client-{kind}",
        client_secret="KEY" if kind == "apple" else f"secret-{kind}",
        callback_path=f"/oauth/{kind}/callback",
        options=double.options(kind),
    )


def way_to(answer: HttpResponse) -> str:
    """The provider's address on the page that leads there."""
    assert answer.status_code == 200, answer.content
    (url,) = set(re.findall(r'class="button wide" href="(http[^"]+)"', answer.content.decode()))
    return unescape(url)


def begin(browser: Client, kind: str, **fields: str) -> str:
    """Click the button; the address of the consent page."""
    return way_to(browser.post(f"/oauth/{kind}/login", fields))


def call_callback(browser: Client, to: str, answer: dict[str, str], kind: str = "") -> HttpResponse:
    """Bring the provider's answer to `to`; Apple's by POST and then as that leads."""
    path = urlsplit(to).path
    if kind != "apple":
        return browser.get(path, answer)
    led = Client(headers={"host": "localhost:8000"}).post(path, answer)  # no cookies come along
    assert led.status_code == 303
    return browser.get(led["Location"])


def sign_in(browser: Client, double: SocialDouble, kind: str, **fields: str) -> HttpResponse:
    """From the click to the answer of the callback."""
    to, answer = double.agree(begin(browser, kind, **fields))
    return call_callback(browser, to, answer, kind)


def is_signed_in(browser: Client) -> bool:
    return browser.get("/account/").status_code == 200
