"""CORS: listed origins may read the API, and use cookies only if configured (A067)."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from tests.api.calls import API, problem
from tests.config.conftest import faults, load_env, warnings

__all__ = ["faults", "load_env", "warnings"]
pytestmark = pytest.mark.django_db
APP = "https://app.example.com"
STRANGERS = [
    "null",
    "https://app.example.com.evil.example",
    "https://evil.example",
    "https://evilapp.example.com",
    "https://x.app.example.com",
    "https://example.com",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com:443",
    "https://APP.example.com",
    "https://app.example.com@evil.example",
    "https://app.example.com\x00.evil.example",
    "",
    "*",
]


@pytest.fixture
def open_to_app(settings: Settings) -> None:
    """The API is open to scripts of APP, without cookies."""
    settings.CORS_ALLOWED_ORIGINS = [APP]


@pytest.fixture
def trusting_app(open_to_app: None, settings: Settings) -> None:
    """… and with cookies."""
    settings.CORS_ALLOW_CREDENTIALS = True
    settings.CSRF_TRUSTED_ORIGINS = [*settings.CSRF_TRUSTED_ORIGINS, APP]


def _preflight(client: Client, origin: str, path: str = f"{API}/me") -> Any:
    return client.options(
        path,
        headers={
            "origin": origin,
            "access-control-request-method": "PATCH",
            "access-control-request-headers": "authorization,content-type",
        },
    )


def _cors(answer: Any) -> dict[str, str]:
    return {
        name.lower().removeprefix("access-control-"): value
        for name, value in answer.headers.items()
        if name.lower().startswith("access-control-")
    }


def test_by_default_no_other_origin_is_allowed(stranger: Client) -> None:
    for origin in (APP, *STRANGERS):
        assert _cors(_preflight(stranger, origin)) == {}
        assert _cors(stranger.get(f"{API}/me", headers={"origin": origin})) == {}


def test_a_listed_origin_may_send_requests_and_read_responses(
    stranger: Client, open_to_app: None
) -> None:
    asked = _cors(_preflight(stranger, APP))
    answer = stranger.get(f"{API}/me", headers={"origin": APP})

    assert asked["allow-origin"] == APP
    assert set(asked["allow-methods"].split(", ")) == {"GET", "HEAD", "POST", "PATCH", "DELETE"}
    assert {"authorization", "content-type", "x-api-key"} <= set(asked["allow-headers"].split(", "))
    assert "allow-credentials" not in asked
    assert _cors(answer)["allow-origin"] == APP
    assert "x-csrf-token" in _cors(answer)["expose-headers"]
    assert "origin" in answer["Vary"].lower()
    assert problem(answer) == (401, "not_authenticated")


@pytest.mark.parametrize("origin", STRANGERS)
def test_an_origin_that_only_looks_similar_is_not_allowed(
    stranger: Client, trusting_app: None, origin: str
) -> None:
    assert _cors(_preflight(stranger, origin)) == {}
    assert _cors(stranger.get(f"{API}/me", headers={"origin": origin})) == {}


def test_cookies_are_allowed_only_for_trusted_origins(
    viewer: User, browser_of: Callable[[User], Client], trusting_app: None
) -> None:
    answer = browser_of(viewer).get(f"{API}/me", headers={"origin": APP})

    assert _cors(answer)["allow-origin"] == APP
    assert _cors(answer)["allow-credentials"] == "true"


@pytest.mark.parametrize("path", ["/", "/sign-in", "/account/", "/admin/", "/health/live"])
def test_cors_applies_only_to_the_api(stranger: Client, trusting_app: None, path: str) -> None:
    assert _cors(_preflight(stranger, APP, path)) == {}
    assert _cors(stranger.get(path, headers={"origin": APP})) == {}


def test_a_wildcard_allows_every_origin_but_no_cookies(
    stranger: Client, settings: Settings
) -> None:
    settings.CORS_ALLOW_ALL_ORIGINS = True

    answer = stranger.get(f"{API}/me", headers={"origin": "https://evil.example"})

    assert _cors(answer)["allow-origin"] == "*"
    assert "allow-credentials" not in _cors(answer)


@pytest.fixture
def strict(viewer: User, browser_of: Callable[[User], Client]) -> Client:
    """A signed-in browser whose form tokens are really checked."""
    client = Client(enforce_csrf_checks=True)
    client.cookies = browser_of(viewer).cookies
    return client


def _change(client: Client, origin: str) -> Any:
    token = client.get(f"{API}/me")["X-CSRF-Token"]
    headers = {"origin": origin, "x-csrf-token": token}
    return client.patch(
        f"{API}/me", {"name": "New"}, content_type="application/json", headers=headers
    )


def test_only_a_trusted_origin_can_write_with_the_session(
    strict: Client, trusting_app: None
) -> None:
    assert _change(strict, APP).status_code == 200
    for origin in ("https://evil.example", "null", "http://app.example.com"):
        assert problem(_change(strict, origin)) == (403, "csrf_failed")


def test_an_origin_without_cookies_cannot_write_with_the_session(
    strict: Client, open_to_app: None
) -> None:
    assert problem(_change(strict, APP)) == (403, "csrf_failed")


# Settings


def test_origins_are_normalized_as_browsers_send_them(load_env: Callable[..., Any]) -> None:
    env = load_env(CORS_ALLOWED_ORIGINS="https://App.Example.com:443/, http://localhost:5173")

    assert env["CORS_ALLOWED_ORIGINS"] == [APP, "http://localhost:5173"]
    assert env["CORS_ALLOW_CREDENTIALS"] is False
    assert load_env()["CORS_ALLOWED_ORIGINS"] == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("null", "'null' is not an origin"),
        ("app.example.com", "'app.example.com' is not an origin"),
        ("https://*.example.com", "'https://*.example.com' is a pattern"),
        ("https://app.example.com/path", "'https://app.example.com/path' has a path"),
        ("*,https://app.example.com", "contains * and other origins"),
    ],
)
def test_an_invalid_origin_stops_the_start(
    faults: Callable[..., list[str]], text: str, fault: str
) -> None:
    (line,) = [line for line in faults(CORS_ALLOWED_ORIGINS=text) if "CORS" in line]

    assert fault in line


def test_a_wildcard_with_cookies_stops_the_start(faults: Callable[..., list[str]]) -> None:
    lines = faults(CORS_ALLOWED_ORIGINS="*", CORS_ALLOW_CREDENTIALS="true")

    assert any("CORS_ALLOWED_ORIGINS" in line and "is *" in line for line in lines)


def test_trusted_cookies_without_origins_are_a_warning(warnings: Callable[..., list[str]]) -> None:
    assert any("CORS_ALLOW_CREDENTIALS" in line for line in warnings(CORS_ALLOW_CREDENTIALS="true"))
