"""Every page of second factors in a real Chromium: axe, CSP, phone width."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page

from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from mfa import totp
from tests.conftest import PASSWORD
from tests.mfa.authenticator import App
from tests.pages.test_in_browser import DESKTOP, examine, press

pytestmark = pytest.mark.browser
Visit = Callable[[str], None]
USERS = f"""
from accounts.actors import SYSTEM
from accounts.services.users import create_user
for name, role in (("vera", "viewer"), ("olga", "owner")):
    create_user(actor=SYSTEM, email=f"{{name}}@example.com", name=name.title(), role=role,
                password="{PASSWORD}", verified=True)
"""
UNSPEND = """
from mfa.models import Authenticator
Authenticator.objects.update(last_step=0)
"""
FORGET_PROOFS = """
from accounts.models import BrowserSession
from accounts.sessions.store import SessionStore
for row in BrowserSession.objects.exclude(user=None):
    content = SessionStore().decode(row.session_data)
    content.pop("_proved_at", None)
    row.session_data = SessionStore().encode(content)
    row.save()
"""
SUBMIT = "form:has(input[name=code]) button[type=submit]"


def type_password(page: Page, instance: Gatehouse, login: str) -> None:
    page.goto(f"{instance.url}/sign-in")
    page.fill("input[name=login]", login)
    page.fill("input[name=password]", PASSWORD)
    press(page, "form:has(input[name=password]) button[type=submit]")


def send_code(page: Page, code: str) -> None:
    page.fill("input[name=code]", code)
    press(page, SUBMIT)


def app_on(page: Page) -> App:
    text = page.locator(".qr-key code").inner_text()
    return App(totp.from_text(re.sub(r"\s", "", text)))


def walk(page: Page, instance: Gatehouse, data: InstanceData, visit: Visit) -> None:
    """Set up, sign in, remember, confirm, reset; `visit` sees each page by a name."""
    type_password(page, instance, "vera@example.com")
    visit("account without a factor")
    page.click("text=Set up an app")
    visit("set up an app")
    app = app_on(page)
    send_code(page, app.wrong_code())
    visit("wrong first code")
    assert app_on(page) == app
    send_code(page, app.code())
    visit("recovery codes")
    assert page.locator(".codes li").count() == 10
    press(page, "text=I have saved them")
    visit("account with a factor")
    page.goto(f"{instance.url}/sign-out")
    press(page, "main button[type=submit]")

    data.shell(UNSPEND)
    type_password(page, instance, "vera@example.com")
    visit("second factor")
    send_code(page, app.wrong_code())
    visit("wrong code")
    page.check("input[name=remember]")
    send_code(page, app.code())
    page.wait_for_url("**/account/")
    visit("account with a remembered browser")
    for name in ("rename", "remove"):
        page.goto(f"{instance.url}/account/authenticator/{name}")
        visit(f"{name} the app")

    data.shell(UNSPEND + FORGET_PROOFS)
    page.goto(f"{instance.url}/account/keys")
    page.fill("input[name=name]", "Backup")
    press(page, "form:has(input[name=name]) button[type=submit]")
    visit("confirm with a factor")
    send_code(page, app.code())
    page.wait_for_selector(".key-secret code")
    assert page.locator(".key-secret code").inner_text().startswith("gth_")
    page.goto(f"{instance.url}/sign-out")
    press(page, "main button[type=submit]")


def walk_of_an_owner(page: Page, instance: Gatehouse, data: InstanceData, visit: Visit) -> None:
    """The role needs a factor; then the admin pages about another user."""
    type_password(page, instance, "olga@example.com")
    page.wait_for_url("**/second-factor/set-up")
    visit("required set-up")
    send_code(page, app_on(page).code())
    visit("recovery codes of the set-up")
    press(page, "text=I have saved them")
    page.wait_for_url("**/account/")
    page.goto(f"{instance.url}/admin/accounts/user/?factor=yes&role=viewer")
    press(page, "#result_list a:has-text('Vera')")
    visit("person in the panel")
    press(page, "text=Reset second factors")
    visit("reset in the panel")
    press(page, "main input[type=submit], #content input[type=submit]")
    assert "All second factors were removed" in page.content()


def test_second_factor_pages_are_accessible_and_follow_the_csp(
    sqlite_data: InstanceData,
    gatehouse_server: Callable[..., Gatehouse],
    browser: Browser,
) -> None:
    sqlite_data.shell(USERS)
    instance = gatehouse_server(sqlite_data, MFA_REQUIRED_ROLES="owner", LOGIN_MAX="100")
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{page.url}: {message.text}"))
    found: list[str] = []

    def visit(name: str) -> None:
        if "panel" not in name:
            found.extend(examine(page, name))

    walk(page, instance, sqlite_data, visit)
    walk_of_an_owner(page, instance, sqlite_data, visit)

    context.close()
    assert found == []
    # Chromium reports every answer of 4xx; nothing else may be said.
    assert [line for line in said if "Failed to load resource" not in line] == []
