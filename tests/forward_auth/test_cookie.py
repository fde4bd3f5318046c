"""The cookie for all apps of a domain: where it is set, accepted and ended."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from accounts.models import BrowserSession, User
from accounts.services.sessions import end_sessions
from config.environment.errors import Unreadable
from config.environment.registry.forward import check_apps_domain, check_forward_auth_domain
from core.web.redirects import is_safe_destination
from forward_auth.models import ForwardAuthCookie
from moderation.models import Ban

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
COOKIE = "gatehouse_gate"
CHECK_PATHS = {"x-original-url": "https://app.example.com/", "x-original-method": "GET"}


@pytest.fixture(autouse=True)
def _domain(settings: LazySettings) -> None:
    settings.FORWARD_AUTH_DOMAIN = "example.com"
    settings.PUBLIC_SCHEME = "https"


def _app(cookie: str) -> Client:
    """What an app's host is sent by a browser: that cookie alone."""
    client = Client(headers=CHECK_PATHS)
    client.cookies[COOKIE] = cookie
    return client


def _app_cookie(browser: Client) -> str:
    return browser.cookies[COOKIE].value


def test_a_sign_in_sets_a_cookie_for_the_whole_domain(viewer: User, browser_of: BrowserOf) -> None:
    morsel = browser_of(viewer).cookies[COOKIE]

    assert (morsel["domain"], morsel["path"]) == ("example.com", "/")
    assert (morsel["httponly"], morsel["samesite"]) == (True, "Lax")
    assert len(morsel.value) == 43


def test_the_cookie_gives_access_to_an_app(viewer: User, browser_of: BrowserOf) -> None:
    answer = _app(_app_cookie(browser_of(viewer))).get("/auth/check")

    assert (answer.status_code, answer["Remote-User"]) == (204, viewer.email)


def test_without_the_setting_no_cookie_is_set_or_accepted(
    viewer: User, browser_of: BrowserOf, settings: LazySettings
) -> None:
    cookie = _app_cookie(browser_of(viewer))
    settings.FORWARD_AUTH_DOMAIN = ""

    assert COOKIE not in browser_of(viewer).cookies
    assert _app(cookie).get("/auth/check").status_code == 401


@pytest.mark.parametrize("path", ["/account/", "/admin/", "/sign-out"])
def test_the_cookie_is_not_accepted_on_own_pages(
    owner: User, browser_of: BrowserOf, path: str
) -> None:
    answer = _app(_app_cookie(browser_of(owner))).get(path)

    assert answer.status_code == 302
    assert "/sign-in" in answer["Location"]


def test_the_cookie_is_not_accepted_by_the_api(owner: User, browser_of: BrowserOf) -> None:
    cookie = _app_cookie(browser_of(owner))
    as_session = Client()
    as_session.cookies["gatehouse_session"] = cookie

    assert _app(cookie).get("/api/v1/me").status_code == 401
    assert as_session.get("/api/v1/me").status_code == 401
    assert as_session.get("/auth/check", headers=CHECK_PATHS).status_code == 401


def test_a_session_key_is_not_accepted_as_the_cookie(viewer: User, browser_of: BrowserOf) -> None:
    key = browser_of(viewer).cookies["gatehouse_session"].value

    assert _app(key).get("/auth/check").status_code == 401


def test_the_table_does_not_contain_the_cookie(viewer: User, browser_of: BrowserOf) -> None:
    cookie = _app_cookie(browser_of(viewer))
    row = ForwardAuthCookie.objects.get()

    assert cookie not in (row.digest, row.pk)
    assert row.session.user == viewer


def test_signing_out_ends_and_deletes_the_cookie(viewer: User, browser_of: BrowserOf) -> None:
    browser = browser_of(viewer)
    cookie = _app_cookie(browser)
    answer = browser.post("/sign-out")

    assert answer.cookies[COOKIE]["max-age"] == 0
    assert answer.cookies[COOKIE]["domain"] == "example.com"
    assert _app(cookie).get("/auth/check").status_code == 401
    assert ForwardAuthCookie.objects.count() == 0


def test_signing_out_everywhere_ends_the_cookie(viewer: User, browser_of: BrowserOf) -> None:
    cookie = _app_cookie(browser_of(viewer))

    assert end_sessions(actor=viewer, user=viewer) == 1
    assert _app(cookie).get("/auth/check").status_code == 401


def test_a_ban_ends_access_to_apps(viewer: User, browser_of: BrowserOf) -> None:
    cookie = _app_cookie(browser_of(viewer))
    Ban.objects.create(user=viewer, kind="manual", created_at=timezone.now())

    assert _app(cookie).get("/auth/check").status_code == 401


def test_disabling_an_account_ends_access_to_apps(viewer: User, browser_of: BrowserOf) -> None:
    cookie = _app_cookie(browser_of(viewer))
    User.objects.update(is_active=False)

    assert _app(cookie).get("/auth/check").status_code == 401


def test_a_page_sets_no_second_cookie(viewer: User, browser_of: BrowserOf) -> None:
    browser = browser_of(viewer)

    assert COOKIE not in browser.get("/account/").cookies
    assert ForwardAuthCookie.objects.count() == 1


def test_a_browser_that_lost_the_cookie_gets_a_new_one_and_the_old_one_ends(
    viewer: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(viewer)
    first = _app_cookie(browser)
    del browser.cookies[COOKIE]
    browser.get("/account/")

    assert _app_cookie(browser) != first
    assert _app(first).get("/auth/check").status_code == 401
    assert _app(_app_cookie(browser)).get("/auth/check").status_code == 204


def test_the_cookie_of_another_user_is_replaced(
    viewer: User, editor: User, browser_of: BrowserOf
) -> None:
    foreign = _app_cookie(browser_of(editor))
    browser = browser_of(viewer)
    browser.cookies[COOKIE] = foreign
    browser.get("/account/")

    assert _app(_app_cookie(browser)).get("/auth/check")["Remote-User"] == viewer.email
    assert _app(foreign).get("/auth/check")["Remote-User"] == editor.email


def test_a_check_sets_no_cookie(viewer: User, browser_of: BrowserOf) -> None:
    browser = browser_of(viewer)
    del browser.cookies[COOKIE]

    for path in ("/auth/check", "/auth/forward"):
        assert dict(browser.get(path, headers=CHECK_PATHS).cookies) == {}


def test_use_of_apps_extends_the_session(
    viewer: User, browser_of: BrowserOf, at_time: Callable[[timedelta], Any]
) -> None:
    cookie = _app_cookie(browser_of(viewer))
    before = BrowserSession.objects.get().expire_date
    at_time(timedelta(days=20))
    assert _app(cookie).get("/auth/check").status_code == 204

    assert BrowserSession.objects.get().expire_date - before > timedelta(days=19)


def test_the_cookie_ends_at_the_absolute_timeout(
    viewer: User, browser_of: BrowserOf, at_time: Callable[[timedelta], Any]
) -> None:
    cookie = _app_cookie(browser_of(viewer))
    BrowserSession.objects.update(expire_date=timezone.now() + timedelta(days=400))
    at_time(timedelta(days=181))

    assert _app(cookie).get("/auth/check").status_code == 401


def test_a_wrong_key_is_rejected_despite_the_cookie(viewer: User, browser_of: BrowserOf) -> None:
    app = _app(_app_cookie(browser_of(viewer)))

    assert app.get("/auth/check", headers={"x-api-key": "gth_wrong"}).status_code == 401


def test_a_user_is_sent_to_sign_in_and_back_to_the_app(viewer: User) -> None:
    asked = {"x-forwarded-proto": "https", "x-forwarded-host": "app.example.com",
             "x-forwarded-uri": "/board?a=1", "x-forwarded-method": "GET",
             "accept": "text/html"}  # fmt: skip
    browser = Client()
    sent = browser.get("/auth/forward", headers=asked)
    back = "https://app.example.com/board?a=1"
    assert (sent.status_code, sent["Location"]) == (
        302,
        f"http://localhost:8000/sign-in?next={back}",
    )

    fields = {"login": viewer.email, "password": "correct horse battery staple"}
    answer = browser.post("/sign-in", {**fields, "next": "https://app.example.com/board?a=1"})
    assert (answer.status_code, answer["Location"]) == (302, "https://app.example.com/board?a=1")
    again = browser.get(f"/sign-in?next={back}")
    assert again["Location"] == "https://app.example.com/board?a=1"


ELSEWHERE = [
    "https://example.org/", "http://app.example.com/", "https://example.com.evil.org/",
    "https://evilexample.com/", "//app.example.com/", "https://app.example.com@evil.org/",
    "https://evil.org\\.example.com/", "https://evil.org/.example.com", "javascript:alert(1)",
    "https://evil.org?.example.com", "https://evil.org#.example.com", "https:app.example.com",
    "https:///app.example.com", "https://app.example.com\n.evil.org/", " https://app.example.com/",
    "https://app.example.com:x/", "https://[::1]/", "https://app%2eexample.com/", "ftp://x",
    "https://app.example.com\\@evil.org/", "https://\u0430pp.example.com/", "", "\\\\evil.org",
    "https://app.example.com/" + "x" * 8500, "https://.example.com/", "/\\evil.org", "///evil.org",
]  # fmt: skip


@pytest.mark.parametrize("url", ELSEWHERE)
def test_the_sign_in_page_redirects_nowhere_else(viewer: User, url: str) -> None:
    fields = {"login": viewer.email, "password": "correct horse battery staple", "next": url}
    answer = Client().post("/sign-in", fields)

    assert not is_safe_destination(url)
    assert (answer.status_code, answer["Location"]) == (302, "/account/")


@pytest.mark.parametrize(
    "url",
    ["/account/", "https://app.example.com", "https://example.com/a?b=https://c.org#d",
     "https://a.b.example.com:8443/x"],
)  # fmt: skip
def test_the_sign_in_page_redirects_to_apps_of_the_domain(url: str) -> None:
    assert is_safe_destination(url)


def test_without_the_setting_it_redirects_to_no_other_host(settings: LazySettings) -> None:
    settings.FORWARD_AUTH_DOMAIN = ""

    assert not is_safe_destination("https://app.example.com/")


@pytest.mark.parametrize(
    ("text", "domain"),
    [("example.com", "example.com"), (".Example.COM", "example.com"), ("", ""),
     ("apps.localhost", "apps.localhost"), ("team.example.co.uk", "team.example.co.uk")],
)  # fmt: skip
def test_a_private_domain_is_accepted(text: str, domain: str) -> None:
    assert check_apps_domain(text) == domain


@pytest.mark.parametrize(
    "text",
    ["com", "localhost", "co.uk", "com.au", "github.io", "192.168.1.10", "https://example.com",
     "example.com:443", "*.example.com", "exa mple.com", "-a.example.com", "a..b"],
)  # fmt: skip
def test_a_shared_domain_is_rejected(text: str) -> None:
    with pytest.raises(Unreadable):
        check_apps_domain(text)


@pytest.mark.parametrize(
    ("site", "domain", "is_wrong"),
    [("https://gate.example.com", "example.com", False),
     ("https://example.com", "example.com", False),
     ("https://gate.example.com", "", False),
     ("https://gate.example.com", "apps.example.com", True),
     ("https://gateexample.com", "example.com", True),
     ("http://gate.example.com", "example.com", True),
     ("http://gate.apps.localhost:8000", "apps.localhost", False)],
)  # fmt: skip
def test_the_domain_must_contain_the_own_host(site: str, domain: str, is_wrong: bool) -> None:
    values = {"PUBLIC_URL": site, "FORWARD_AUTH_DOMAIN": domain}

    assert bool(list(check_forward_auth_domain(values))) is is_wrong
