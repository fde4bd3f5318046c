"""Every user page in a real browser: axe, Content-Security-Policy, phone width, keyboard."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from tests.conftest import PASSWORD
from tests.pages.axe import accessibility_errors

pytestmark = pytest.mark.browser
USERS = f"""
from datetime import timedelta
from accounts.actors import SYSTEM
from accounts.models import AccountToken
from accounts.services.invitations import invite
from accounts.services.first_run import ensure_owner, issue_setup_link
from accounts.services.email_tokens import issue_token
from accounts.services.users import create_user
from applications.models import App
from applications.services.apps import create_app
from magiclinks.services import issue_link
hour = timedelta(hours=1)
vera = create_user(actor=SYSTEM, email="vera@example.com", name="Vera", password="{PASSWORD}",
                   verified=True)
nora = create_user(actor=SYSTEM, email="nora@example.com", role="none", verified=True,
                   password="{PASSWORD}")
reset = issue_token(vera, AccountToken.Purpose.RESET_PASSWORD, lifetime=hour)
verify = issue_token(nora, AccountToken.Purpose.VERIFY_EMAIL, lifetime=hour)
link = issue_link(vera, actor=SYSTEM, lifetime=hour, source="command")
invitation = invite(actor=SYSTEM, email="new@example.com")
for name in ("Wiki", "Team calendar"):
    create_app(actor=SYSTEM, app=App(name=name, url=f"https://{{name[0]}}.example.com",
                                     description="For everyone in the team."))
result = {{
    "invitation": "/invitation/" + invitation.url.rpartition("/")[2],
    "link": "/magic-link/" + link.url.rpartition("/")[2],
    "reset": "/password/reset/" + reset.token,
    "verify": "/verify-email/" + verify.token,
    "set-up": "/set-up/" + issue_setup_link(ensure_owner()).token,
}}
"""
PUBLIC = [
    "/sign-in",
    "/sign-in?notice=link-expired",
    "/sign-up",
    "/password/forgot",
    "/magic-link",
    "/nothing-here",
]
OWN = ["/account/", "/account/password", "/account/email", "/account/delete", "/sign-out"]
OWN += ["/settings/workspace/users"]
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}


@pytest.fixture
def instance(
    sqlite_data: InstanceData, gatehouse_server: Callable[..., Gatehouse]
) -> tuple[Gatehouse, dict[str, str]]:
    """A running Gatehouse with two people, and paths that hold tokens."""
    paths = sqlite_data.shell(USERS)
    return gatehouse_server(sqlite_data), paths


@pytest.fixture
def pages(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    yield page
    context.close()


def examine(page: Page, name: str) -> list[str]:
    """What is wrong with the page that is open now."""
    found = [f"{name}: {error}" for error in accessibility_errors(page)]
    page.set_viewport_size(PHONE)
    if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
        found.append(f"{name}: wider than a phone")
    page.set_viewport_size(DESKTOP)
    if page.locator("h1").count() != 1:
        found.append(f"{name}: {page.locator('h1').count()} headings")
    return found


def press(page: Page, selector: str) -> None:
    """Click what leads to another page, and wait until it is there."""
    with page.expect_navigation():
        page.click(selector)


def sign_in(page: Page, gatehouse: Gatehouse, login: str) -> None:
    page.goto(f"{gatehouse.url}/sign-in")
    page.fill("input[name=login]", login)
    page.fill("input[name=password]", PASSWORD)
    press(page, "form:has(input[name=password]) button[type=submit]")
    page.wait_for_url("**/account/")


def test_every_page_is_accessible_and_follows_the_csp(
    instance: tuple[Gatehouse, dict[str, str]], pages: Page
) -> None:
    gatehouse, secret = instance
    said: list[str] = []
    pages.on("console", lambda message: said.append(f"{pages.url}: {message.text}"))
    found: list[str] = []
    for path in [*PUBLIC, *secret.values()]:
        pages.goto(gatehouse.url + path)
        found += examine(pages, path.rpartition("/")[0] or path)
    pages.goto(f"{gatehouse.url}/sign-in")
    pages.fill("input[name=login]", "nobody@example.com")
    pages.fill("input[name=password]", "wrong")
    press(pages, "form:has(input[name=password]) button[type=submit]")
    found += examine(pages, "a refused sign-in")
    for form in ("/magic-link", "/password/forgot"):
        pages.goto(gatehouse.url + form)
        pages.fill("input[name=email]", "somebody@example.com")
        press(pages, "main button[type=submit]")
        found += examine(pages, f"sent by {form}")
    for login in ("vera@example.com", "nora@example.com"):
        sign_in(pages, gatehouse, login)
        for path in OWN:
            pages.goto(gatehouse.url + path)
            found += examine(pages, f"{path} of {login}")
        pages.goto(f"{gatehouse.url}/sign-out")
        press(pages, "main button[type=submit]")

    assert found == []
    # Chromium reports every answer of 4xx; nothing else may be said.
    assert [line for line in said if "Failed to load resource" not in line] == []


def test_a_user_signs_in_by_keyboard_alone(
    instance: tuple[Gatehouse, dict[str, str]], page: Page
) -> None:
    gatehouse, _secret = instance
    page.goto(f"{gatehouse.url}/sign-in")

    focused = "document.activeElement.name || document.activeElement.textContent.trim()"
    order = []
    for _step in range(12):
        page.keyboard.press("Tab")
        order.append(page.evaluate(focused))
        if order[-1] == "login":
            page.keyboard.type("vera@example.com")
        if order[-1] == "password":
            page.keyboard.type(PASSWORD)
            with page.expect_navigation(url="**/account/"):
                page.keyboard.press("Enter")
            break

    assert order[0] == "Skip to content"
    assert page.locator("h1").inner_text() == "Your account"


def test_a_user_signs_in_by_link_and_out_without_scripts(
    instance: tuple[Gatehouse, dict[str, str]], browser: Browser
) -> None:
    gatehouse, secret = instance
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()

    page.goto(gatehouse.url + secret["link"])
    assert "v•••@example.com" in page.inner_text("main")
    press(page, "main button[type=submit]")
    assert page.url == f"{gatehouse.url}/account/"
    page.goto(gatehouse.url + secret["link"])
    assert "This link has been used" in page.inner_text("main")
    press(page, "header >> text=Sign out")
    assert page.url.startswith(f"{gatehouse.url}/sign-in")
    page.goto(f"{gatehouse.url}/account/")
    assert page.url.startswith(f"{gatehouse.url}/sign-in")
    context.close()


def test_the_printed_link_completes_the_owner_account(
    instance: tuple[Gatehouse, dict[str, str]], page: Page
) -> None:
    gatehouse, secret = instance
    page.goto(gatehouse.url + secret["set-up"])
    page.fill("input[name=email]", "olga@example.com")
    page.fill("input[name=password]", PASSWORD)
    press(page, "main button[type=submit]")

    page.wait_for_url("**/admin/set-up/")
    page.goto(f"{gatehouse.url}/settings/workspace/users")
    assert page.url == f"{gatehouse.url}/admin/accounts/user/"
