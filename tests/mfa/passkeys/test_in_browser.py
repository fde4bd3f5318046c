"""Passkeys in a real Chromium with a virtual authenticator: the pages and the script."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, CDPSession, Page

from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from tests.conftest import PASSWORD
from tests.pages.axe import accessibility_errors

pytestmark = pytest.mark.browser
USERS = f"""
from accounts.actors import SYSTEM
from accounts.services.users import create_user
create_user(actor=SYSTEM, email="vera@example.com", name="Vera", password="{PASSWORD}",
            verified=True)
"""
ROWS = """
from mfa.models import Authenticator
result = list(Authenticator.objects.order_by("id").values("name", "sign_count", "last_used_at"))
"""
FORGET_PROOFS = """
from accounts.models import BrowserSession
from accounts.sessions.store import SessionStore
for row in BrowserSession.objects.exclude(user=None):
    content = SessionStore().decode(row.session_data)
    content.pop("_proved_at")
    row.session_data = SessionStore().encode(content)
    row.save()
"""
NEWEST = """
from mfa.models import Authenticator
result = Authenticator.objects.latest("id").pk
"""
EVENTS = """
from audit.models import AuditEvent
result = list(AuditEvent.objects.filter(action="account:session:start").order_by("seq")
              .values_list("result", "detail"))
"""
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
# The virtual device takes every offer at once, so the offer while typing has a test of its own.
WITHOUT_OFFER = "PublicKeyCredential.isConditionalMediationAvailable = async () => false;"
PROBLEM = "[data-passkey-problem]"
BUTTON = "[data-passkey-start]"
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}


class LocalGatehouse(Gatehouse):
    """Under a name: no browser makes passkeys for a number."""

    @property
    def urls(self) -> list[str]:
        return [f"http://localhost:{port}" for port in self.ports]


class Device:
    """The virtual authenticator of one page."""

    def __init__(self, page: Page) -> None:
        self.session: CDPSession = page.context.new_cdp_session(page)
        self.session.send("WebAuthn.enable")
        added = self.session.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
        self.id = {"authenticatorId": added["authenticatorId"]}

    def say(self, command: str, **options: Any) -> Any:
        return self.session.send(f"WebAuthn.{command}", self.id | options)

    def set_count(self, count: int) -> None:
        """Make it a device whose counter stands elsewhere, as that of a copy."""
        (kept,) = self.say("getCredentials")["credentials"]
        self.say("removeCredential", credentialId=kept["credentialId"])
        self.say("addCredential", credential=kept | {"signCount": count})


@pytest.fixture
def instance(sqlite_data: InstanceData, tmp_path: Path) -> Iterator[Gatehouse]:
    """A running Gatehouse under the name localhost with one person."""
    sqlite_data.shell(USERS)
    gatehouse = LocalGatehouse(sqlite_data, tmp_path, 1, {})
    yield gatehouse
    gatehouse.stop()


@pytest.fixture
def said() -> list[str]:
    """What the console said."""
    return []


@pytest.fixture
def tab(browser: Browser, said: list[str]) -> Iterator[Page]:
    """A page without offers while typing."""
    context = browser.new_context(viewport=DESKTOP)
    context.add_init_script(WITHOUT_OFFER)
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    context.close()


def press(page: Page, selector: str, url: str) -> None:
    with page.expect_navigation(url=url):
        page.click(selector)


def sign_in_by_password(page: Page, instance: Gatehouse) -> None:
    page.goto(f"{instance.url}/sign-in")
    page.fill("input[name=login]", "vera@example.com")
    page.fill("input[name=password]", PASSWORD)
    press(page, "form:has(input[name=password]) button[type=submit]", "**/account/")


def sign_out(page: Page, instance: Gatehouse) -> None:
    page.goto(f"{instance.url}/sign-out")
    press(page, "main button[type=submit]", "**/sign-in?notice=signed-out")


def add_passkey(page: Page, instance: Gatehouse, name: str = "Test device") -> None:
    page.goto(f"{instance.url}/account/passkeys/add")
    page.fill("input[name=name]", name)
    press(page, BUTTON, "**/account/recovery-codes?*")
    press(page, "main .actions a", "**/account/?notice=passkey-added")


def problem(page: Page) -> str:
    page.wait_for_selector(f"{PROBLEM}:not(:empty)")
    return page.inner_text(PROBLEM)


def test_a_user_adds_a_passkey_and_signs_in_with_it_alone(
    instance: Gatehouse, tab: Page, said: list[str]
) -> None:
    device = Device(tab)
    sign_in_by_password(tab, instance)
    add_passkey(tab, instance)
    assert "Your passkey is added." in tab.inner_text("main")
    assert "Test device" in tab.inner_text("main")
    (credential,) = device.say("getCredentials")["credentials"]
    assert (credential["isResidentCredential"], credential["rpId"]) == (True, "localhost")

    sign_out(tab, instance)
    press(tab, BUTTON, "**/account/")

    assert tab.inner_text("h1") == "Your account"
    (row,) = instance.data.shell(ROWS)
    assert (row["name"], row["sign_count"]) == ("Test device", 2)
    assert instance.data.shell(EVENTS)[-1] == ["success", {"methods": ["passkey"]}]
    assert said == []


def test_a_passkey_is_the_second_factor_after_a_password(
    instance: Gatehouse, tab: Page, said: list[str]
) -> None:
    Device(tab)
    sign_in_by_password(tab, instance)
    add_passkey(tab, instance)
    sign_out(tab, instance)
    tab.fill("input[name=login]", "vera@example.com")
    tab.fill("input[name=password]", PASSWORD)
    press(tab, "form:has(input[name=password]) button[type=submit]", "**/second-factor")

    press(tab, BUTTON, "**/account/")

    methods = {"methods": ["passkey", "password"]}
    assert instance.data.shell(EVENTS)[-1] == ["success", methods]
    assert said == []


def test_a_passkey_reauthenticates_for_a_sensitive_action(
    instance: Gatehouse, tab: Page, said: list[str]
) -> None:
    Device(tab)
    sign_in_by_password(tab, instance)
    add_passkey(tab, instance)
    instance.data.shell(FORGET_PROOFS)
    tab.goto(f"{instance.url}/account/passkeys/add")
    assert tab.inner_text("h1") == "Confirm that it is you"

    press(tab, BUTTON, "**/account/passkeys/add")

    assert tab.inner_text("h1") == "Add a passkey"
    assert said == []


def test_a_role_that_needs_a_factor_can_set_up_a_passkey(
    sqlite_data: InstanceData, tmp_path: Path, tab: Page, said: list[str]
) -> None:
    sqlite_data.shell(USERS)
    instance = LocalGatehouse(
        sqlite_data, tmp_path, 1, {"MFA_REQUIRED_ROLES": "viewer,editor,admin"}
    )
    Device(tab)
    try:
        tab.goto(f"{instance.url}/sign-in")
        tab.fill("input[name=login]", "vera@example.com")
        tab.fill("input[name=password]", PASSWORD)
        submit = "form:has(input[name=password]) button[type=submit]"
        press(tab, submit, "**/second-factor/set-up")
        press(tab, BUTTON, "**/account/recovery-codes?*")
        press(tab, "main .actions a", "**/account/")
    finally:
        instance.stop()

    assert said == []


def test_next_is_kept(instance: Gatehouse, tab: Page) -> None:
    Device(tab)
    sign_in_by_password(tab, instance)
    add_passkey(tab, instance)
    sign_out(tab, instance)

    tab.goto(f"{instance.url}/account/password")
    assert tab.url.startswith(f"{instance.url}/sign-in?next=")
    press(tab, BUTTON, "**/account/password")


def test_the_login_field_autofills_the_passkey(instance: Gatehouse, browser: Browser) -> None:
    context = browser.new_context()
    context.add_init_script(WITHOUT_OFFER)
    page = context.new_page()
    Device(page)
    sign_in_by_password(page, instance)
    add_passkey(page, instance)
    sign_out(page, instance)
    # From here on as browsers are: the virtual device chooses the passkey in the list.
    page.add_init_script("delete PublicKeyCredential.isConditionalMediationAvailable;")
    page.add_init_script("PublicKeyCredential.isConditionalMediationAvailable = async () => true;")

    with page.expect_navigation(url="**/account/"):
        page.goto(f"{instance.url}/sign-in", wait_until="commit")

    assert page.inner_text("h1") == "Your account"
    context.close()


def test_a_cancelled_passkey_is_explained_beside_the_button(
    instance: Gatehouse, tab: Page, said: list[str]
) -> None:
    device = Device(tab)
    sign_in_by_password(tab, instance)
    device.say("setUserVerified", isUserVerified=False)

    tab.goto(f"{instance.url}/account/passkeys/add")
    tab.click(BUTTON)
    assert problem(tab).startswith("No passkey was used")
    assert tab.evaluate("document.activeElement.hasAttribute('data-passkey-start')")
    sign_out(tab, instance)
    tab.click(BUTTON)

    assert problem(tab).startswith("No passkey was used")
    assert tab.url.startswith(f"{instance.url}/sign-in")
    assert instance.data.shell(ROWS) == []
    assert said == []


def test_the_same_device_is_rejected_with_a_message(instance: Gatehouse, tab: Page) -> None:
    Device(tab)
    sign_in_by_password(tab, instance)
    add_passkey(tab, instance)

    tab.goto(f"{instance.url}/account/passkeys/add")
    tab.click(BUTTON)

    assert problem(tab) == "This device has a passkey for your account already."


def test_a_cloned_device_is_rejected(instance: Gatehouse, tab: Page) -> None:
    device = Device(tab)
    sign_in_by_password(tab, instance)
    add_passkey(tab, instance)
    sign_out(tab, instance)
    press(tab, BUTTON, "**/account/")
    sign_out(tab, instance)
    device.set_count(0)

    tab.click(BUTTON)

    assert problem(tab).startswith("This passkey seems to have been copied")
    tab.goto(f"{instance.url}/account/")
    assert tab.url.startswith(f"{instance.url}/sign-in")
    refused = {"methods": ["passkey"], "reason": "passkey_copied"}
    assert instance.data.shell(EVENTS)[-1] == ["refused", refused]


def test_under_another_host_the_page_links_to_the_right_one(instance: Gatehouse, tab: Page) -> None:
    tab.goto(f"http://127.0.0.1:{instance.ports[0]}/sign-in")

    tab.click(BUTTON)

    assert problem(tab) == f"Passkeys work only at {instance.url}. Open this page there."


def test_without_scripts_a_message_says_so(instance: Gatehouse, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{instance.url}/sign-in")

    assert page.is_hidden(BUTTON)
    assert "Passkeys need JavaScript" in page.inner_text("main")
    context.close()


def test_a_browser_without_passkeys_gets_a_message(instance: Gatehouse, browser: Browser) -> None:
    context = browser.new_context()
    context.add_init_script("delete window.PublicKeyCredential;")
    page = context.new_page()
    page.goto(f"{instance.url}/sign-in")

    page.wait_for_selector("[data-passkey-missing]:visible")
    assert page.is_hidden(BUTTON)
    context.close()


def test_pages_are_accessible(instance: Gatehouse, browser: Browser) -> None:
    context = browser.new_context(viewport=DESKTOP)
    context.add_init_script(WITHOUT_OFFER)
    page = context.new_page()
    device = Device(page)
    sign_in_by_password(page, instance)
    add_passkey(page, instance)
    row = instance.data.shell(NEWEST)
    device.say("setUserVerified", isUserVerified=False)
    found: list[str] = []
    for path in ("", f"passkeys/{row}/rename", f"passkeys/{row}/remove", "passkeys/add"):
        page.goto(f"{instance.url}/account/{path}")
        found += wrong(page, path)
    page.click(BUTTON)
    problem(page)
    found += wrong(page, "add, refused")
    page.goto(f"{instance.url}/account/passkeys/add")
    sign_out(page, instance)
    page.click(BUTTON)
    problem(page)
    found += wrong(page, "sign in, refused")
    context.close()

    assert found == []


def wrong(page: Page, name: str) -> list[str]:
    """What axe finds on the page that is open now, and whether it fits a phone."""
    found = [f"{name}: {flaw}" for flaw in accessibility_errors(page)]
    page.set_viewport_size(PHONE)
    if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
        found.append(f"{name}: wider than a phone")
    page.set_viewport_size(DESKTOP)
    return found
