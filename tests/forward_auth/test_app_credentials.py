"""Forward auth with credentials of the app: those that cannot be ours are ignored.

Each case is asked by both ways, the function before Django and Django alone.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.handlers.wsgi import WSGIHandler
from django.test import Client
from django.utils import timezone

from accounts.models import BrowserSession, User
from api.models import ApiKey
from api.tokens import refresh_tokens
from audit.models import AuditEvent
from core.invalidation.data_version import current_data_version
from forward_auth.checker import Checker
from forward_auth.models import AccessRule, Denial
from forward_auth.services.denials import write_denials
from forward_auth.wsgi import FastPath
from tests.api.keys import made
from tests.forward_auth.credentials import OF_APPS, basic, key_at, unsigned
from tests.forward_auth.test_wsgi import BOARD, _ask, _environ

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
PAGE = {"HTTP_ACCEPT": "text/html", "HTTP_SEC_FETCH_MODE": "navigate"}
WAYS = {
    "short": lambda: FastPath(WSGIHandler(), Checker(current_data_version)),
    "long": WSGIHandler,
}


@pytest.fixture(params=list(WAYS))
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """ask("/auth/check", HTTP_COOKIE=...) -> (status, headers, body)"""
    application = WAYS[request.param]()

    def of(path: str = "/auth/check", **more: str) -> Any:
        status, headers, body = _ask(application, _environ(path, **{**BOARD, **more}))
        return int(status[:3]), headers, body.decode()

    return of


@pytest.fixture
def cookie(viewer: User, browser_of: BrowserOf) -> str:
    return f"gatehouse_session={browser_of(viewer).cookies['gatehouse_session'].value}"


@pytest.mark.parametrize("path", ["/auth/check", "/auth/forward"])
@pytest.mark.parametrize("app", OF_APPS)
def test_a_session_decides_beside_a_credential_of_the_app(
    ask: Any, cookie: str, viewer: User, app: dict[str, str], path: str
) -> None:
    status, headers, _body = ask(path, HTTP_COOKIE=cookie, **app, **PAGE)

    assert (status, headers["Remote-User"]) == (204, viewer.email)


@pytest.mark.parametrize("app", OF_APPS)
def test_a_forward_auth_cookie_decides_beside_a_credential_of_the_app(
    ask: Any, viewer: User, browser_of: BrowserOf, app: dict[str, str], settings: LazySettings
) -> None:
    settings.FORWARD_AUTH_DOMAIN = "example.com"
    proxied_app = browser_of(viewer).cookies["gatehouse_gate"].value

    status, headers, _body = ask(HTTP_COOKIE=f"gatehouse_gate={proxied_app}", **app)

    assert (status, headers["Remote-User"]) == (204, viewer.email)


@pytest.mark.parametrize("app", OF_APPS)
def test_a_credential_of_the_app_alone_is_ignored(ask: Any, app: dict[str, str]) -> None:
    refused, _headers, body = ask(**app)
    sent_on, headers, _body = ask("/auth/forward", **app, **PAGE)

    assert (refused, '"not_authenticated"' in body) == (401, True)
    assert (sent_on, headers["Location"].partition("?")[0]) == (
        302,
        "http://localhost:8000/sign-in",
    )


@pytest.mark.parametrize("app", OF_APPS)
def test_a_public_path_stays_public(ask: Any, app: dict[str, str]) -> None:
    AccessRule.objects.create(position=1, name="open", effect="public", path="/board")

    assert ask(**app)[0] == 204


def wrong_ones(user: User) -> list[dict[str, str]]:
    """Ours, and wrong: mistyped, unknown, ended, spoilt, of another kind."""
    key = made(user).text
    ended = made(user, name="ended").text
    ApiKey.objects.filter(name="ended").update(revoked_at=timezone.now())
    pair = refresh_tokens.start_by_password(user, timezone.now())
    spoilt = pair.access[:-2] + ("AA" if pair.access[-2:] != "AA" else "BB")
    keys = [key[:-1], f"{key}x", "gth_", ended]
    tokens = [spoilt, pair.refresh, unsigned(iss="http://localhost:8000", sub="1")]
    return [
        *(key_at(place, text) for text in keys for place in ("x-api-key", "bearer", "basic")),
        *({"HTTP_AUTHORIZATION": f"Bearer {token}"} for token in tokens),
    ]


def test_a_wrong_own_credential_is_rejected_beside_a_session(
    ask: Any, cookie: str, viewer: User
) -> None:
    for wrong in wrong_ones(viewer):
        status, headers, _body = ask(HTTP_COOKIE=cookie, **wrong)

        assert (status, headers.get("Remote-User", "")) == (401, ""), wrong


def test_a_signed_in_browser_gets_a_page_instead_of_a_redirect_loop(
    ask: Any, cookie: str, viewer: User
) -> None:
    for wrong in wrong_ones(viewer):
        status, headers, body = ask("/auth/forward", HTTP_COOKIE=cookie, **wrong, **PAGE)

        assert (status, "Location" in headers) == (401, False), wrong
        assert "an API key or access token that is not valid" in body
    write_denials()
    assert set(Denial.objects.values_list("status", "user")) == {(401, None)}


def test_if_both_credentials_are_required_a_session_gets_a_message(
    ask: Any, cookie: str, settings: LazySettings
) -> None:
    settings.REQUIRE_API_KEY_AND_TOKEN = True

    status, headers, body = ask("/auth/forward", HTTP_COOKIE=cookie, **PAGE)

    assert (status, "Location" in headers) == (401, False)
    assert "requires an API key and an access token" in body


def test_a_stale_session_cookie_does_not_hide_the_forward_auth_cookie(
    ask: Any, viewer: User, browser_of: BrowserOf, settings: LazySettings
) -> None:
    settings.FORWARD_AUTH_DOMAIN = "example.com"
    proxied_app = browser_of(viewer).cookies["gatehouse_gate"].value
    both = f"gatehouse_session=stale; gatehouse_gate={proxied_app}"

    assert ask("/auth/forward", HTTP_COOKIE=both, **PAGE)[0] == 204
    BrowserSession.objects.all().delete()
    assert ask("/auth/forward", HTTP_COOKIE=both, **PAGE)[0] == 302


@pytest.mark.parametrize("place", ["x-api-key", "bearer", "basic"])
def test_a_key_is_accepted_in_each_place(ask: Any, viewer: User, place: str) -> None:
    key = made(viewer).text

    status, headers, _body = ask(**key_at(place, key))

    assert (status, headers["Remote-User"]) == (204, viewer.email)


@pytest.mark.parametrize("app", OF_APPS)
def test_a_key_beside_a_credential_of_the_app_is_accepted(
    ask: Any, viewer: User, app: dict[str, str]
) -> None:
    place = "bearer" if "HTTP_X_API_KEY" in app else "x-api-key"
    both = app | key_at(place, made(viewer).text)

    assert ask(**both)[0] == 204


def test_a_key_and_a_token_must_belong_to_one_user(ask: Any, viewer: User, editor: User) -> None:
    key = made(viewer).text
    own = refresh_tokens.start_by_password(viewer, timezone.now()).access
    other = refresh_tokens.start_by_password(editor, timezone.now()).access

    assert ask(HTTP_X_API_KEY=key, HTTP_AUTHORIZATION=f"Bearer {own}")[0] == 204
    assert ask(HTTP_X_API_KEY=key, HTTP_AUTHORIZATION=f"Bearer {other}")[0] == 401


def test_a_key_or_token_and_a_cookie_must_belong_to_one_user(
    ask: Any, viewer: User, editor: User, browser_of: BrowserOf, settings: LazySettings
) -> None:
    settings.FORWARD_AUTH_DOMAIN = "example.com"
    browser = browser_of(viewer)
    cookie = f"gatehouse_gate={browser.cookies['gatehouse_gate'].value}"

    for person, wanted in ((viewer, 204), (editor, 401)):
        token = refresh_tokens.start_by_password(person, timezone.now()).access
        key = made(person).text
        assert ask(HTTP_COOKIE=cookie, HTTP_X_API_KEY=key)[0] == wanted
        assert ask(HTTP_COOKIE=cookie, HTTP_AUTHORIZATION=f"Bearer {token}")[0] == wanted
    browser.post("/sign-out")
    # An ended one says nothing: cookies come unasked.
    assert ask(HTTP_COOKIE=cookie, HTTP_X_API_KEY=key)[0] == 204


def test_two_keys_allow_what_both_allow(ask: Any, viewer: User, editor: User) -> None:
    narrow = made(editor, "narrow", scopes=["read"])
    wide = made(editor, "wide", scopes=["read", "write"])
    foreign = made(viewer, "foreign")
    both = {"HTTP_X_API_KEY": narrow.text, "HTTP_AUTHORIZATION": f"Bearer {wide.text}"}
    mixed = {"HTTP_X_API_KEY": foreign.text, "HTTP_AUTHORIZATION": f"Bearer {wide.text}"}

    write = {"HTTP_X_ORIGINAL_METHOD": "POST"}

    assert ask(**both)[0] == 204
    assert ask(**both, **write)[0] == 403
    assert ask(HTTP_AUTHORIZATION=f"Bearer {wide.text}", **write)[0] == 204
    assert ask(**mixed)[0] == 401


def test_only_programs_get_a_basic_challenge(ask: Any) -> None:
    """git and WebDAV clients send their password only when they are asked for it."""
    basic_first = 'Basic realm="Gatehouse", charset="UTF-8", Bearer'
    for _again in range(2):
        assert ask(HTTP_USER_AGENT="git/2.39")[1]["WWW-Authenticate"] == basic_first
        assert ask(HTTP_USER_AGENT="Mozilla/5.0")[1]["WWW-Authenticate"] == "Bearer"
        assert ask(HTTP_SEC_FETCH_MODE="cors")[1]["WWW-Authenticate"] == "Bearer"


def test_a_credential_of_the_app_is_not_cached_or_logged(ask: Any, cookie: str) -> None:
    """It is neither counted as a wrong key nor written down."""
    for _again in range(30):
        assert ask(HTTP_COOKIE=cookie, HTTP_AUTHORIZATION=basic("admin", "secret"))[0] == 204
    assert not AuditEvent.objects.filter(result="refused").exists()
