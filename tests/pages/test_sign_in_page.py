"""The sign-in page: one address for all ways, in one order, without script and on a phone."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page

from accounts.models import EmailRequest, User
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from tests.conftest import PASSWORD
from tests.pages.axe import accessibility_errors
from tests.pages.test_in_browser import USERS

LINK_BUTTON = "button[formaction='/magic-link']"


@pytest.mark.django_db
def test_there_is_one_field_for_the_address(stranger: Client) -> None:
    page = stranger.get("/sign-in").content.decode()
    visible = re.findall(r'<input type="(?:text|email|password)" name="(\w+)"', page)
    assert visible == ["login", "password"]
    assert 'autocomplete="username webauthn"' in page
    assert 'autocomplete="current-password"' in page
    order = [page.index(text) for text in (">Sign in</button>", 'formaction="/magic-link"')]
    assert order == sorted(order)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["login", "email"])
def test_a_link_is_asked_for_with_the_address_of_either_field(name: str, stranger: Client) -> None:
    fields = {name: " Vera@Example.com ", "password": "typed by a password manager", "next": ""}
    answer = stranger.post("/magic-link", fields)
    assert answer.status_code == 200
    assert "vera@example.com" in answer.content.decode()
    assert [row.email for row in EmailRequest.objects.all()] == ["vera@example.com"]


@pytest.mark.django_db
@pytest.mark.parametrize("login", ["", "vera", "a@b@c"])
def test_what_is_no_address_is_told_beside_the_field(login: str, stranger: Client) -> None:
    answer = stranger.post("/magic-link", {"login": login, "password": "secret words"})
    page = answer.content.decode()
    assert answer.status_code == 400
    assert 'aria-invalid="true"' in page
    assert "secret words" not in page
    assert not EmailRequest.objects.exists()


@pytest.mark.django_db
def test_with_links_alone_the_form_asks_for_an_address(stranger: Client, settings: Any) -> None:
    settings.ALLOW_EMAIL_LOGIN = False
    page = stranger.get("/sign-in").content.decode()
    assert re.findall(r'<input type="(?:text|email|password)" name="(\w+)"', page) == ["email"]
    assert '<form method="post" action="/magic-link">' in page


@pytest.mark.django_db
def test_without_links_there_is_no_second_button(stranger: Client, settings: Any) -> None:
    settings.ALLOW_MAGIC_LINK_LOGIN = False
    assert "/magic-link" not in stranger.get("/sign-in").content.decode()


@pytest.mark.django_db
def test_the_next_page_is_kept_for_both(stranger: Client, viewer: User) -> None:
    page = stranger.get("/sign-in", {"next": "/account/keys"}).content.decode()
    assert page.count('name="next" value="/account/keys"') == 1
    stranger.post("/magic-link", {"login": viewer.email, "next": "/account/keys"})
    assert EmailRequest.objects.get().next_url == "/account/keys"


@pytest.fixture
def gatehouse(sqlite_data: InstanceData, gatehouse_server: Callable[..., Gatehouse]) -> Gatehouse:
    sqlite_data.shell(USERS)
    return gatehouse_server(sqlite_data)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 320, "height": 700})
    yield context.new_page()
    context.close()


@pytest.mark.browser
def test_without_script_enter_signs_in_and_the_other_button_asks_for_a_link(
    gatehouse: Gatehouse, page: Page
) -> None:
    page.goto(f"{gatehouse.url}/sign-in")
    page.fill("input[name=login]", "vera@example.com")
    # No password is needed for a link, though the field is required.
    page.click(LINK_BUTTON)
    page.wait_for_url("**/magic-link")
    assert "vera@example.com" in page.inner_text("main")

    page.goto(f"{gatehouse.url}/sign-in")
    page.fill("input[name=login]", "vera@example.com")
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/account/")


@pytest.mark.browser
def test_the_page_fits_a_phone_and_the_keyboard(gatehouse: Gatehouse, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 320, "height": 700})
    shown = context.new_page()
    shown.goto(f"{gatehouse.url}/sign-in")
    assert accessibility_errors(shown) == []
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shown.focus("input[name=login]")
    reached = []
    for _key in range(4):
        shown.keyboard.press("Tab")
        reached.append(shown.evaluate("document.activeElement.innerText || 'password'"))
    assert reached[:2] == ["password", "Sign in"]
    assert reached[3].startswith(("Mail me", "Ask for"))
    context.close()
