"""How many clicks each task of an operator needs, in a real browser, from the overview on.

A click is a click, a choice from a list, a chosen file, or an Enter that submits. Typing is free.
All tasks share one server: each has a person of its own. One of them is done by keys alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Locator, Page

from devtools.servers.databases import Templates
from devtools.servers.gatehouse import Gatehouse
from tests.conftest import PASSWORD
from tests.core.branding.pictures import png
from tests.federation.social.double import SocialDouble

pytestmark = pytest.mark.browser
SEED = f"""
from datetime import timedelta
from django.utils import timezone
from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.first_run import ensure_owner, issue_setup_link
from accounts.services.users import change_role, create_user
from api.apikeys.services import KeyRequest, create_key
from api.models import ApiKey
from forward_auth.models import Denial
from mfa.models import Authenticator
from moderation.services.bans import ban
result = "/set-up/" + issue_setup_link(ensure_owner()).token
olga = create_user(actor=SYSTEM, email="olga@example.com", name="Olga Owner", role="owner",
                   password="{PASSWORD}", verified=True)
jon = create_user(actor=olga, email="jon@example.com", name="Jon Doe", password="{PASSWORD}")
for name in ("kim", "kimberly"):
    create_user(actor=olga, email=name + "@example.com", name="Kim Keys", password="{PASSWORD}")
gus = create_user(actor=olga, email="gus@example.com", name="Gus Gone", password="{PASSWORD}")
lena = create_user(actor=olga, email="lena@example.com", name="Lena Lost", password="{PASSWORD}")
change_role(actor=olga, user=lena, role="editor")
Authenticator.objects.create(user=lena, kind="totp", name="Phone")
request = KeyRequest(name="nightly", scopes=["read"])
key = create_key(actor=jon, user=jon, key_request=request).key
long_ago = timezone.now() - timedelta(days=99)
User.objects.filter(pk=jon.pk).update(keys_valid_from=long_ago)
ApiKey.objects.filter(pk=key.pk).update(created_at=long_ago)
Denial.objects.create(reference="ABCD2345", status=403, code="forbidden", why="role", user=jon,
                      credential="session", host="wiki.example.com", path="/edit", method="POST")
ban(actor=olga, network="203.0.113.7", duration=timedelta(hours=9), reason="A flood.")
"""
INVITED = [f"guest{number}@example.com" for number in range(30)]
IMPORTED = [f"person{number}@example.com" for number in range(30)]


class Operator:
    """A browser that counts its clicks. folder: for the logs of further servers."""

    def __init__(self, page: Page, instance: Gatehouse, set_up: str, folder: Path) -> None:
        self.page, self.instance, self.set_up = page, instance, set_up
        self.folder, self.clicks = folder, 0

    def open(self, path: str) -> None:
        self.page.goto(self.instance.url + path)

    def sign_in(self) -> None:
        self.open("/sign-in?next=/admin/")
        self.page.fill("input[name=login]", "olga@example.com")
        self.page.fill("input[name=password]", PASSWORD)
        with self.page.expect_navigation(url="**/admin/"):
            self.page.keyboard.press("Enter")

    def follow(self, name: str) -> None:
        """Click a link that leads to another page."""
        self._leave(self.page.get_by_role("link", name=name).first)

    def press(self, name: str) -> None:
        """Click a button that leads to another page."""
        self._leave(self.page.get_by_role("button", name=name, exact=True).first)

    def confirm(self, name: str) -> None:
        """Click the button of a question that is open on this page."""
        self._leave(self.page.locator("details[open]").get_by_role("button", name=name))

    def unfold(self, name: str) -> None:
        """Open a question below a button."""
        self.clicks += 1
        self.page.locator("summary.button", has_text=name).first.click()

    def copy(self, label: str) -> str:
        """Click the button that copies a field; returns what it copies."""
        self.clicks += 1
        self.page.get_by_role("button", name=f"Copy: {label}").click()
        return self.page.get_by_label(label, exact=True).input_value()

    def _leave(self, target: Locator) -> None:
        self.clicks += 1
        with self.page.expect_navigation():
            target.click()

    def find(self, text: str) -> None:
        """Type into the box of the menu, and submit."""
        self.clicks += 1
        self.page.locator("#panel-nav input[name=q]").fill(text)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def tick(self, text: str) -> None:
        self.clicks += 1
        self.page.locator("#result_list tr", has_text=text).locator("input.action-select").check()

    def choose(self, name: str, value: str) -> None:
        self.clicks += 1
        self.page.locator(f"[name={name}]").select_option(value)

    def type(self, name: str, text: str) -> None:
        self.page.locator(f"[name={name}]").fill(text)

    def attach(self, name: str, kind: str, content: bytes) -> None:
        self.clicks += 1
        file: Any = {"name": "chosen", "mimeType": kind, "buffer": content}
        self.page.locator(f"input[name={name}]").set_input_files(file)

    def download(self, name: str) -> str:
        """Click a button that answers with a file; returns its text."""
        self.clicks += 1
        with self.page.expect_download() as waiting:
            self.page.get_by_role("button", name=name, exact=True).click()
        return waiting.value.path().read_text()

    def shows(self, text: str) -> bool:
        """Whether the page says it, or has it in a field to copy."""
        fields = self.page.locator("input:visible, textarea:visible").all()
        return any(
            text in told
            for told in (self.page.inner_text("body"), *(field.input_value() for field in fields))
        )


def set_up_the_owner(operator: Operator) -> bool:
    browser = operator.page.context.browser
    assert browser
    operator.page = browser.new_page()
    operator.open(operator.set_up)
    operator.type("email", "first@example.com")
    operator.type("password", PASSWORD)
    operator._leave(operator.page.locator("main button[type=submit]"))
    url = operator.page.url
    operator.page.close()
    return url.endswith("/admin/set-up/")


def make_a_link_for_a_colleague(operator: Operator) -> bool:
    operator.find("jon@example.com")
    operator.unfold("Get sign-in link")
    operator.confirm("Get sign-in link")
    return operator.shows("/magic-link/")


def invite_thirty(operator: Operator) -> bool:
    operator.follow("Invitations")
    operator.follow("Invite several people")
    operator.type("people", "\n".join(INVITED))
    operator.press("Check the list")
    operator.press("Send 30 invitations")
    return operator.shows("guest29@example.com") and operator.shows("/invitation/")


def see_why_someone_was_refused(operator: Operator) -> bool:
    operator.follow("Denied access")
    operator._leave(operator.page.locator("#result_list tbody th a").first)
    return operator.shows("Why it was denied")


def unban_an_office(operator: Operator) -> bool:
    operator.follow("Bans")
    operator._leave(operator.page.locator("#result_list tbody th a").first)
    operator.press("Lift this ban")
    return operator.shows("lifted")


def make_someone_editor_until_friday(operator: Operator) -> bool:
    friday = timezone.now() + timedelta(days=5)
    operator.find("jon@example.com")
    operator.choose("role", "editor")
    operator.choose("role_after", "viewer")
    operator.type("role_until", f"{friday:%Y-%m-%dT17:00}")
    operator.press("Save")
    operator.open("/admin/accounts/user/?q=jon@example.com")
    return operator.shows("Editor") and operator.shows("until ")


def offboard_with_proof(operator: Operator) -> bool:
    operator.find("gus@example.com")
    operator.press("Offboard…")
    operator.press("Yes, offboard Gus")
    return operator.shows("Offboarding of gus@example.com") and operator.shows("refused")


def find_keys_unused_for_90_days(operator: Operator) -> bool:
    operator.follow("1 API key has not been used for 90 days")
    return operator.shows("nightly")


def see_who_changed_a_role(operator: Operator) -> bool:
    operator.find("lena@example.com")
    return operator.shows("Olga Owner changed the role of Lena Lost from viewer to editor.")


def import_thirty(operator: Operator) -> bool:
    operator.follow("People")
    operator.follow("Import")
    operator.attach("file", "text/csv", "\n".join(["email", *IMPORTED, ""]).encode())
    operator.press("Check the file")
    operator.press("Import 30 accounts")
    return operator.shows("30")


def export_everyone(operator: Operator) -> bool:
    operator.follow("People")
    return "lena@example.com" in operator.download("Export")


def help_after_a_lost_authenticator(operator: Operator) -> bool:
    operator.find("lena@example.com")
    operator.press("Reset second factors…")
    operator.press("Yes, reset")
    return operator.shows("All second factors were removed")


def connect_google(operator: Operator) -> bool:
    """Between the lines for .env and the test is a restart, with what Google has shown."""
    operator.follow("Sign-in providers")
    operator.follow("Google")
    assert operator.shows("Authorized redirect URIs")
    assert operator.shows("After the restart")
    assert operator.copy("Callback URL, to register at the provider").endswith("/google/callback")
    assert operator.copy("Lines for .env") == "GOOGLE_CLIENT_ID=\nGOOGLE_CLIENT_SECRET="
    path = operator.page.url.removeprefix(operator.instance.url)
    google = SocialDouble()
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.federation.social.browser_settings",
        "SOCIAL_DOUBLE_URL": google.url,
        "SOCIAL_DOUBLE_KEY": google.team_pem,
    }
    restarted = Gatehouse(operator.instance.data, operator.folder, 1, environment)
    try:
        operator.page.goto(restarted.url + path)
        operator.press("Test the connection")
        return operator.shows("Google answers as it should.")
    finally:
        restarted.stop()
        google.stop()


def name_and_logo(operator: Operator) -> bool:
    operator.follow("Appearance")
    operator.type("name", "Northwind")
    operator.attach("logo", "image/png", png(64, 64))
    operator.press("Save")
    logo = operator.page.locator(".branding-logo img")
    return "Northwind" in operator.page.title() and logo.count() == 1


@dataclass(frozen=True, slots=True)
class Task:
    """steps: does the task and says whether it is done. most: clicks that it may take."""

    most: int
    steps: Callable[[Operator], bool]


TASKS = {
    "owner set-up": Task(2, set_up_the_owner),
    "link for a colleague": Task(4, make_a_link_for_a_colleague),
    "invite thirty": Task(4, invite_thirty),
    "why refused": Task(3, see_why_someone_was_refused),
    "unban an office": Task(3, unban_an_office),
    "editor until Friday": Task(4, make_someone_editor_until_friday),
    "offboard with proof": Task(3, offboard_with_proof),
    "keys unused for 90 days": Task(2, find_keys_unused_for_90_days),
    "who changed the role": Task(2, see_who_changed_a_role),
    "import thirty": Task(5, import_thirty),
    "export": Task(2, export_everyone),
    "connect Google": Task(5, connect_google),
    "name and logo": Task(3, name_and_logo),
    "lost authenticator": Task(3, help_after_a_lost_authenticator),
}


@pytest.fixture(scope="module")
def signed_in(
    browser: Browser, data_templates: Templates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """Signed in as owner."""
    folder = tmp_path_factory.mktemp("clicks")
    data = data_templates.fresh("sqlite", folder)
    set_up = data.shell(SEED)
    instance = Gatehouse(data, folder, 1, {})
    context = browser.new_context(accept_downloads=True)
    opened = Operator(context.new_page(), instance, set_up, folder)
    opened.sign_in()
    yield opened
    context.close()
    instance.stop()


@pytest.fixture
def operator(signed_in: Operator) -> Operator:
    """On the overview, before the first click."""
    signed_in.open("/admin/")
    return Operator(signed_in.page, signed_in.instance, signed_in.set_up, signed_in.folder)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_takes_at_most_so_many_clicks(operator: Operator, name: str) -> None:
    task = TASKS[name]
    assert task.steps(operator), operator.page.inner_text("body")
    assert operator.clicks <= task.most


class Keyboard:
    """A browser that is used by keys alone. Each stop of Tab must be seen."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def focused(self) -> str:
        """What a screen reader would call the focused element, more or less."""
        return str(
            self.page.evaluate(
                """() => {
                    const element = document.activeElement;
                    const label = element.labels?.[0]?.innerText ?? element.ariaLabel;
                    return (label || element.innerText || element.value || "").trim();
                }"""
            )
        )

    def is_seen(self) -> bool:
        """Whether the focused element is in the window, uncovered, and marked as focused."""
        return bool(
            self.page.evaluate(
                """() => {
                    const element = document.activeElement;
                    const box = element.getBoundingClientRect();
                    const style = getComputedStyle(element);
                    const isMarked = (style.outlineStyle !== "none"
                        && parseFloat(style.outlineWidth) >= 2) || style.boxShadow !== "none";
                    const x = (Math.max(box.left, 0) + Math.min(box.right, innerWidth)) / 2;
                    const y = (Math.max(box.top, 0) + Math.min(box.bottom, innerHeight)) / 2;
                    const top = document.elementFromPoint(x, y);
                    return isMarked && box.width > 0
                        && (element.contains(top) || top?.contains(element));
                }"""
            )
        )

    def tab_to(self, name: str, most: int = 60) -> None:
        """Press Tab until the element of that name has the focus."""
        stops = []
        for _stop in range(most):
            self.page.keyboard.press("Tab")
            stops.append(self.focused())
            html = self.page.evaluate("document.activeElement.outerHTML")
            assert self.is_seen(), f"after {stops} the focus is not seen: {html[:300]}"
            if stops[-1].rstrip(":") == name:
                return
        raise AssertionError(f"no {name!r} in {stops}")

    def enter(self, name: str) -> None:
        """Go to a link or button, and follow it by Enter."""
        self.tab_to(name)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")


@pytest.mark.parametrize("width", [390, 1280])
def test_someone_is_banned_by_keys_alone(signed_in: Operator, browser: Browser, width: int) -> None:
    email = {390: "kim@example.com", 1280: "kimberly@example.com"}[width]
    page = browser.new_page(viewport={"width": width, "height": 844})
    keys = Keyboard(page)
    page.goto(f"{signed_in.instance.url}/sign-in?next=/admin/")
    keys.tab_to("Email address or user name")
    page.keyboard.type("olga@example.com")
    keys.tab_to("Password")
    page.keyboard.type(PASSWORD)
    keys.enter("Sign in")

    keys.tab_to("Skip to main content")
    if width == 390:
        keys.tab_to("Menu")
        page.keyboard.press("Enter")
    keys.tab_to("Find a person by name or address")
    page.keyboard.type("Kim")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    keys.tab_to("Skip to main content")
    page.keyboard.press("Enter")
    keys.enter(f"Kim Keys\n{email}")
    keys.tab_to("Skip to main content")
    page.keyboard.press("Enter")
    keys.enter("Ban…")
    assert "Kim Keys" in page.inner_text("main")
    keys.tab_to("Reason")
    page.keyboard.type("Sent advertising.")
    keys.enter("Ban")
    assert "banned" in page.inner_text(".messagelist")
    keys.tab_to("Menu" if width == 390 else "Audit log")  # the menu comes before the account
    keys.tab_to("Olga Owner")
    page.keyboard.press("Enter")
    keys.enter("Sign out")

    assert page.url.endswith("/sign-in?notice=signed-out")
    page.close()


@pytest.mark.parametrize("locale", ["en-US", "de-DE"])
def test_the_menu_fits_into_a_window(signed_in: Operator, browser: Browser, locale: str) -> None:
    """With the most links: below bans stand two further pages."""
    size, kept = {"width": 1280, "height": 900}, signed_in.page.context.storage_state()
    context = browser.new_context(viewport=size, locale=locale, storage_state=kept)
    page = context.new_page()
    page.goto(f"{signed_in.instance.url}/admin/moderation/ban/")

    hidden = page.evaluate(
        "(nav => nav.scrollHeight - nav.clientHeight)(document.getElementById('panel-nav'))"
    )
    assert hidden <= 0
    context.close()
