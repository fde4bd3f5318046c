"""A link to an app survives sign-in by every method: up to 8 kB, with non-ASCII characters."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.conf import LazySettings
from django.test import Client

from accounts.models import User
from core.web.redirects import MAX_LENGTH, safe_destination
from magiclinks.services import handle_link_requests
from mail.models import OutboxMail
from tests.conftest import PASSWORD, path_in
from tests.federation.oidc.conftest import call_callback, leads_to, start
from tests.federation.oidc.double import Double

pytestmark = pytest.mark.django_db
SITE = "https://app.example.com"
ROOM = 8192 - len(SITE)
LINKS = {
    "short": f"{SITE}/board?a=1&b=%20#top",
    "long": f"{SITE}/board?q=" + "x" * (ROOM - len("/board?q=")),
    "beyond ascii": f"{SITE}/" + quote("über/日本?q=ж", safe="/?="),
    "long beyond ascii": f"{SITE}/" + quote("ж") * ((ROOM - 1) // 6),
    "signs": f"{SITE}/a?x=" + quote("&+%#=?/") * 300 + "&y=+",
}


@pytest.fixture(autouse=True)
def _domain(settings: LazySettings) -> None:
    settings.FORWARD_AUTH_DOMAIN = "example.com"
    settings.PUBLIC_SCHEME = "https"


@pytest.fixture(params=list(LINKS))
def link(request: pytest.FixtureRequest) -> str:
    return LINKS[request.param]


def sent_on(link: str) -> str:
    """`next` of the sign-in page to which the proxy redirects the browser."""
    asked = {
        "x-forwarded-proto": "https",
        "x-forwarded-host": "app.example.com",
        "x-forwarded-uri": link.removeprefix(SITE),
        "x-forwarded-method": "GET",
        "accept": "text/html",
    }
    answer = Client().get("/auth/forward", headers=asked)
    assert answer.status_code == 302
    query = urlsplit(answer["Location"]).query
    return parse_qs(query, strict_parsing=True)["next"][0]


def credentials(user: User, link: str) -> dict[str, str]:
    return {"login": user.email, "password": PASSWORD, "next": link}


@pytest.mark.parametrize("name", [name for name in LINKS if name != "short"])
def test_forward_auth_passes_the_link_on(name: str) -> None:
    assert sent_on(LINKS[name]) == LINKS[name]


def test_raw_bytes_are_percent_encoded() -> None:
    raw = f"{SITE}/ü?q=日本"

    assert sent_on(raw.encode().decode("latin-1")) == f"{SITE}/%C3%BC?q=%E6%97%A5%E6%9C%AC"


def test_the_sign_in_page_and_its_form_keep_it(viewer: User, link: str) -> None:
    browser = Client()
    page = browser.get("/sign-in", {"next": link})
    kept = [form.initial["next"] for form in (page.context["form"], page.context["link_form"])]
    answer = browser.post("/sign-in", credentials(viewer, link))

    assert kept == [link, link]
    assert (answer.status_code, answer["Location"]) == (302, link)
    assert browser.get("/sign-in", {"next": link})["Location"] == link


def test_a_magic_link_redirects_there(
    stranger: Client, viewer: User, link: str, mails: Callable[[], list[OutboxMail]]
) -> None:
    stranger.post("/magic-link", {"email": viewer.email, "next": link})
    handle_link_requests()

    assert stranger.get(path_in(mails()[-1]))["Location"] == link


def test_a_provider_sign_in_redirects_there(
    as_openid: Double, stranger: Client, link: str, viewer: User
) -> None:
    answer = call_callback(stranger, as_openid, start(stranger, next=link))

    assert (answer.status_code, answer["Location"]) == (302, link)
    assert all(not morsel.value for name, morsel in stranger.cookies.items() if "_next" in name)


def test_the_automatic_redirect_keeps_it(
    as_openid: Double, stranger: Client, link: str, settings: LazySettings
) -> None:
    settings.AUTO_REDIRECT = "openid"

    url = leads_to(stranger.get("/sign-in", {"next": link}))

    assert call_callback(stranger, as_openid, url)["Location"] == link


def test_the_newest_of_several_tabs_keeps_a_long_link(as_openid: Double, stranger: Client) -> None:
    other = LINKS["long"][:-1] + "y"
    first = start(stranger, next=LINKS["short"])
    second = start(stranger, next=other)
    third = start(stranger, next=LINKS["long"])

    assert call_callback(stranger, as_openid, third)["Location"] == LINKS["long"]
    for url, leads in ((second, "/account/"), (first, LINKS["short"])):
        stranger.post("/sign-out")
        assert call_callback(stranger, as_openid, url)["Location"] == leads


def test_cookies_of_a_long_link_are_small_and_bound_to_the_sign_in(
    as_openid: Double, stranger: Client
) -> None:
    start(stranger, next=LINKS["long"])
    cookies = {name: each for name, each in stranger.cookies.items() if "_next_" in name}

    assert len(cookies) == 4
    for morsel in cookies.values():
        assert len(morsel.value) < 3800
        assert (morsel["path"], morsel["httponly"], morsel["samesite"]) == (
            "/oauth/openid/callback",
            True,
            "Lax",
        )
        assert "xxxx" not in morsel.value


@pytest.mark.parametrize("path", ["/café?q=ж", "/account/?a=b c", "/" + "x" * 8000])
def test_own_paths_are_kept(viewer: User, path: str) -> None:
    answer = Client().post("/sign-in", credentials(viewer, path))

    assert answer["Location"] == quote(path, safe="/?=")


@pytest.mark.parametrize(
    "url",
    [
        f"{SITE}/" + "x" * MAX_LENGTH,
        f"{SITE}/" + "ж" * 2000,
        f"{SITE}/\x00",
        f"{SITE}/\ud800",
        "//app.example.com/ü",
        "/\\ü",
        "https://äpp.example.com/",
        "https://app.example.com.ü/",
    ],
)
def test_too_long_or_invalid_destinations_are_ignored(url: str) -> None:
    assert safe_destination(url) == ""


# Signing out


@pytest.mark.parametrize("next_url", [LINKS["short"], LINKS["long"], "/sign-in"])
def test_sign_out_redirects_to_an_allowed_url(
    viewer: User, browser_of: Callable[[User], Client], next_url: str
) -> None:
    browser = browser_of(viewer)
    page = browser.get("/sign-out", {"next": next_url})
    answer = browser.post("/sign-out", {"next": next_url})

    assert f'name="next" value="{next_url}"' in page.content.decode().replace("&amp;", "&")
    assert (answer.status_code, answer["Location"]) == (303, next_url)
    assert browser.get("/account/").status_code == 302
    assert browser.get("/sign-out", {"next": next_url})["Location"] == next_url


@pytest.mark.parametrize("next_url", ["https://evil.org/", "//evil.org", "javascript:alert(1)", ""])
def test_sign_out_redirects_to_no_other_site(
    viewer: User, browser_of: Callable[[User], Client], next_url: str
) -> None:
    browser = browser_of(viewer)
    page: Any = browser.get("/sign-out", {"next": next_url})
    answer = browser.post("/sign-out", {"next": next_url})

    assert page.context["next"] == ""
    assert answer["Location"] == "/sign-in?notice=signed-out"
    assert browser.get("/sign-out", {"next": next_url})["Location"] == "/sign-in"
