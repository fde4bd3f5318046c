"""Every admin page in a real browser: accessible, within the CSP, and no wider than a phone."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from tests.pages.axe import COLOURS, SIZES, violations
from tests.servers.fixtures import StartGatehouse

pytestmark = pytest.mark.browser
PASSWORD = "correct horse battery staple"
USERS, MAIL, AUDIT = (
    "/admin/accounts/user/",
    "/admin/mail/outboxmail/",
    "/admin/audit/auditevent/",
)
INVITATIONS = "/admin/accounts/invitation/"
APPROVALS = "/admin/accounts/approvalrequest/"
REVIEWS = "/admin/access_reviews/accessreview/"
WEBHOOKS, DELIVERIES = "/admin/webhooks/webhookendpoint/", "/admin/webhooks/webhookdelivery/"
SESSIONS, LINKS = "/admin/accounts/browsersession/", "/admin/magiclinks/loginlink/"
BANS, VIOLATIONS = "/admin/moderation/ban/", "/admin/moderation/violation/"
APPS, RULES = "/admin/applications/app/", "/admin/forward_auth/accessrule/"
WIZARD = f"{APPS}protect/?name=Photos&url=photos.example.com"
REPLAY = f"{BANS}replay/?days=30&interval=10&half_life=24"
# What the pages show: people in all states, mails in two, links, and a long address.
SEED = f"""
from datetime import timedelta
from django.utils import timezone
from accounts.actors import SYSTEM
from mail.models import OutboxMail; from accounts.models import User
from access_reviews.services.reviews import ReviewRequest, start_review
from accounts.services import users
from accounts.services.invitations import invite
from accounts.services.offboard import offboard
from accounts.roles import Role
from applications.models import App
from forward_auth.services.app_setup import Access, protect_app
from magiclinks.services import issue_link
from moderation.services.bans import ban
from moderation.services.violations import record_violation
from tests.accounts.approval_helpers import request_to_disable
from webhooks.models import WebhookDelivery
from webhooks.services.endpoints import create_endpoint
User.objects.update(setup_completed=True, is_active=False)
owner = users.create_user(
    actor=SYSTEM, email="owner@example.com", role="owner", name="Olga Owner",
    password="{PASSWORD}", verified=True,
)
long = "a.person.with.a.very.long.address@a-very-long-name-of-a-house.example.com"
leaver = users.create_user(
    actor=owner, email="leaver@example.com", role="editor", name="Leo Leaver",
    password="{PASSWORD}", expires_at=timezone.now() + timedelta(days=3),
)
offboard(actor=owner, user=leaver)
person = users.create_user(actor=owner, email=long, role="viewer", name="Vera Viewer")
users.create_user(actor=owner, email="waiting@example.com", role="none")
users.set_expiry(actor=owner, user=person, expires_at=timezone.now() + timedelta(days=9))
issue_link(person, actor=owner, lifetime=timedelta(hours=1), source="panel")
invite(actor=owner, email="n" + long, name="Nina New")
for status, error in (("dead", "550 no such mailbox"), ("waiting", ""), ("sent", "")):
    OutboxMail.objects.create(
        user=person, recipient=long, kind="magic-link", subject="Your sign-in link",
        status=status, last_error=error, attempts=3, sealed_body="x",
    )
for score in (1, 7.5, 12):
    record_violation(type="login", user=person, network="203.0.113.7", score=score, limit="7 in 5m")
record_violation(type="upload", network="198.51.100.9", detail={{"room": "blue"}})
ban(actor=owner, network="203.0.113.7", duration=None, reason="A flood.")
ban(actor=owner, user=person, duration=None, reason="Rude.")
hook = create_endpoint(
    actor=owner, values={{"name": "Chat", "url": "https://chat.example.com/hooks"}}
).endpoint
for status, code, error in (("done", 200, ""), ("failed", None, "No answer within 10 seconds.")):
    WebhookDelivery.objects.create(
        endpoint=hook, event_id="evt_5b0c1f0e6f2d4a53a1f2a0f6f0f4f5ab", event_type="user.created",
        payload='{{"id": "x"}}', status=status, response_status=code, response="thanks",
        last_error=error, attempts=3,
    )
due = timezone.now() + timedelta(days=5)
wanted = ReviewRequest("Fourth quarter", due, reviewers=[owner.pk])
review = start_review(actor=owner, wanted=wanted)
users.set_expiry(actor=owner, user=person, expires_at=timezone.now() + timedelta(days=8))
app = protect_app(
    actor=owner, access=Access(Role.VIEWER, ("/health",), ("10.0.0.0/8",)),
    app=App(name="Wiki", url="https://wiki.example.com:1", proxy="caddy", description="Notes"),
)
request_to_disable(person)
result = str(person.pk)
"""


class Panel:
    """A browser signed in as owner; `reports` holds what the console complained about."""

    def __init__(self, page: Page, instance: Gatehouse, person: str) -> None:
        self.page, self.instance, self.person = page, instance, person
        self.reports: list[str] = []
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.reports.append(text)

    def sign_in(self) -> None:
        self.page.goto(f"{self.instance.url}/sign-in?next=/admin/")
        self.page.get_by_label("Email", exact=False).first.fill("owner@example.com")
        self.page.locator("input[type=password]").fill(PASSWORD)
        with self.page.expect_navigation(url=f"{self.instance.url}/admin/"):
            self.page.locator("input[type=password]").press("Enter")

    def open(self, path: str) -> None:
        answer = self.page.goto(f"{self.instance.url}{path}")
        assert answer is not None
        assert answer.status == 200, path

    def open_first(self, path: str) -> None:
        """The page of the newest row of a list."""
        self.open(path)
        with self.page.expect_navigation():
            self.page.locator("#result_list tbody th a").first.click()

    def open_app(self, page: str) -> None:
        """A page of the first app."""
        self.open_first(APPS)
        self.page.goto(self.page.url.replace("change", page))

    def test_app(self) -> None:
        """Run the live test; nothing is there."""
        self.open_app("set-up")
        with self.page.expect_navigation():
            self.page.get_by_role("button", name="Test now").click()

    def choose(self, path: str, action: str) -> None:
        """Tick the newest row of a list and run an action."""
        self.open(path)
        self.page.locator("input.action-select").first.check()
        self.page.locator("select[name=action]").select_option(action)
        with self.page.expect_navigation():
            self.page.locator("button[name=index]").first.click()

    def press(self, path: str, button: str) -> None:
        """Open a page and press one of its buttons."""
        self.open(path)
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=button, exact=True).click()

    def follow(self, path: str, link: str) -> None:
        """Open a page and follow its first link of that selector."""
        self.open(path)
        with self.page.expect_navigation():
            self.page.locator(link).first.click()

    def rotate_secret(self, *, sends: bool) -> None:
        """Ask for a new secret of the first webhook; sends: and see it."""
        self.open_first(WEBHOOKS)
        with self.page.expect_navigation():
            self.page.get_by_role("link", name="Replace the secret").click()
        if sends:
            with self.page.expect_navigation():
                self.page.get_by_role("button", name="Replace the secret").click()

    def undo(self) -> None:
        """Undo the newest change that can be; the answer offers to undo that."""
        self.follow(AUDIT, ".undo-link")
        with self.page.expect_navigation():
            self.page.get_by_role("button", name="Yes, undo this change").click()

    def read_report(self, link: str = "") -> None:
        """The report of the offboarding of the newest account, and a page that it links to."""
        self.open_first(f"{USERS}?q=leaver@example.com")
        for name in filter(None, ("Report of the offboarding", link)):
            with self.page.expect_navigation():
                self.page.get_by_role("link", name=name).click()

    def invite(self) -> None:
        """Fill in the form; the answer shows the link."""
        self.open(f"{INVITATIONS}add/")
        self.page.get_by_label("Email address").fill("guest@example.com")
        with self.page.expect_navigation():
            self.page.locator("input[type=submit][value=Invite]").click()

    def invite_list(self, *, sends: bool) -> None:
        """Paste a list and check it; sends: send it, and see the links."""
        self.open(f"{INVITATIONS}many/")
        self.page.get_by_label("Addresses").fill(
            "Nina New <n1@example.com>\nnope, owner@example.com\nn1@example.com\nn2@example.com"
        )
        self.page.get_by_label("Invite again").check()
        with self.page.expect_navigation():
            self.page.get_by_role("button", name="Check the list").click()
        if sends:
            with self.page.expect_navigation():
                self.page.get_by_role("button", name="Send 2 invitations").click()

    def review(self) -> None:
        """One account of the newest review."""
        self.open_first(REVIEWS)
        with self.page.expect_navigation():
            self.page.locator(".review-accounts tbody th a").first.click()

    def confirm_access(self) -> None:
        """Tick the accounts of a review, and see who would be confirmed."""
        self.open_first(REVIEWS)
        for box in self.page.locator("input[name=item]").all():
            box.check()
        with self.page.expect_navigation():
            self.page.get_by_role("button", name="Confirm the ticked people").click()

    def close_review(self) -> None:
        """The page that asks before a review is closed."""
        self.open_first(REVIEWS)
        with self.page.expect_navigation():
            self.page.get_by_role("link", name="Close the review").click()

    def import_file(self) -> None:
        """Choose a file with new, existing and wrong rows, and check it."""
        self.open(f"{USERS}import/")
        rows = b"Mail;Rolle;Wer\np1@example.com;editor;Petra\nnope;king;\nowner@example.com;;\n"
        file: Any = {"name": "people.csv", "mimeType": "text/csv", "buffer": rows}
        self.page.get_by_label("File").set_input_files(file)
        self.page.get_by_label("Skip wrong rows").check()
        with self.page.expect_navigation():
            self.page.get_by_role("button", name="Check the file").click()

    def look(self, width: int, scheme: str) -> None:
        """Another window size and colour scheme, after all colour transitions."""
        self.page.set_viewport_size({"width": width, "height": 844})
        self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]

    def accessibility_errors(self, *rules: str) -> list[tuple[str, list[str]]]:
        """What axe finds on the page as it is."""
        found = violations(self.page, *rules)
        return [(flaw["id"], [node["html"][:150] for node in flaw["nodes"]]) for flaw in found]

    def overhang(self) -> int:
        """Pixels by which the page is wider than the window."""
        width: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return width


PAGES: dict[str, Callable[[Panel], None]] = {
    "overview": lambda panel: panel.open("/admin/"),
    "health": lambda panel: panel.open("/admin/health/"),
    "settings": lambda panel: panel.open("/admin/settings/?q=mail"),
    "providers": lambda panel: panel.open("/admin/providers/"),
    "set-up": lambda panel: panel.open("/admin/set-up/"),
    "set-up address": lambda panel: panel.open("/admin/set-up/address/"),
    "set-up mail": lambda panel: panel.open("/admin/set-up/mail/"),
    "set-up sign-in": lambda panel: panel.open("/admin/set-up/sign-in/"),
    "set-up proxy": lambda panel: panel.open("/admin/set-up/proxy/"),
    "set-up people": lambda panel: panel.open("/admin/set-up/invitations/"),
    "provider": lambda panel: panel.open("/admin/providers/github/switch/"),
    "provider-guide": lambda panel: panel.open("/admin/providers/google/set-up/"),
    "provider-sign-in": lambda panel: panel.open("/admin/providers/github/sign-in-test/"),
    "tables": lambda panel: panel.open("/admin/accounts/"),
    "people": lambda panel: panel.open(USERS),
    "nobody": lambda panel: panel.open(f"{USERS}?q=nobody-of-that-name"),
    "add": lambda panel: panel.open(f"{USERS}add/"),
    "person": lambda panel: panel.open(f"{USERS}{panel.person}/change/"),
    "person-asked": lambda panel: panel.open(
        f"{USERS}{panel.person}/change/?url=app.example.com&method=GET"
    ),
    "programs": lambda panel: panel.open("/admin/api/tokenfamily/"),
    "delete": lambda panel: panel.open(f"{USERS}{panel.person}/delete/"),
    "role": lambda panel: panel.choose(USERS, "change_role_of_people"),
    "end": lambda panel: panel.choose(USERS, "set_end_of_people"),
    "disable": lambda panel: panel.choose(USERS, "disable_people"),
    "offboard": lambda panel: panel.press(f"{USERS}{panel.person}/change/", "Offboard…"),
    "offboarding": lambda panel: panel.read_report(),
    "offboarding on paper": lambda panel: panel.read_report("Page for printing"),
    "link": lambda panel: panel.choose(USERS, "get_login_url"),
    "approvals": lambda panel: panel.open(APPROVALS),
    "approval": lambda panel: panel.open_first(APPROVALS),
    "invitations": lambda panel: panel.open(INVITATIONS),
    "invitation": lambda panel: panel.open_first(INVITATIONS),
    "invite": lambda panel: panel.open(f"{INVITATIONS}add/"),
    "invited": lambda panel: panel.invite(),
    "invite-list": lambda panel: panel.open(f"{INVITATIONS}many/"),
    "invited-list": lambda panel: panel.invite_list(sends=True),
    "checked-list": lambda panel: panel.invite_list(sends=False),
    "import": lambda panel: panel.open(f"{USERS}import/"),
    "checked-import": lambda panel: panel.import_file(),
    "export": lambda panel: panel.open(f"{USERS}export/"),
    "mails": lambda panel: panel.open(MAIL),
    "mail": lambda panel: panel.open_first(MAIL),
    "again": lambda panel: panel.choose(f"{MAIL}?status=dead", "send_again"),
    "events": lambda panel: panel.open(AUDIT),
    "event": lambda panel: panel.open_first(AUDIT),
    "undo": lambda panel: panel.follow(AUDIT, ".undo-link"),
    "undone": lambda panel: panel.undo(),
    "event-for-good": lambda panel: panel.open_first(f"{AUDIT}?q=account:user:offboard"),
    "undo-refused": lambda panel: panel.follow(f"{AUDIT}?q=account:user:disable", ".undo-link"),
    "sessions": lambda panel: panel.open(SESSIONS),
    "session": lambda panel: panel.open_first(SESSIONS),
    "links": lambda panel: panel.open(LINKS),
    "link-detail": lambda panel: panel.open_first(LINKS),
    "violations": lambda panel: panel.open(VIOLATIONS),
    "violation": lambda panel: panel.open_first(VIOLATIONS),
    "apps": lambda panel: panel.open(APPS),
    "app": lambda panel: panel.open_first(APPS),
    "app-delete": lambda panel: panel.open_app("delete"),
    "wizard-app": lambda panel: panel.open(f"{APPS}protect/?name=&url=a%20b&step=app"),
    "wizard-access": lambda panel: panel.open(f"{WIZARD}&step=app"),
    "wizard-proxy": lambda panel: panel.open(f"{WIZARD}&role=viewer&step=access"),
    "app-set-up": lambda panel: panel.open_app("set-up"),
    "app-tested": lambda panel: panel.test_app(),
    "rules": lambda panel: panel.open(RULES),
    "rule": lambda panel: panel.open_first(RULES),
    "bans": lambda panel: panel.open(BANS),
    "ban": lambda panel: panel.open_first(f"{BANS}?kind=manual"),
    "explained": lambda panel: panel.open_first(f"{BANS}?kind=automatic"),
    "to-ban": lambda panel: panel.open(f"{BANS}add/"),
    "what-if": lambda panel: panel.open(REPLAY),
    "reviews": lambda panel: panel.open(REVIEWS),
    "start-review": lambda panel: panel.open(f"{REVIEWS}add/"),
    "review": lambda panel: panel.open_first(REVIEWS),
    "review-item": lambda panel: panel.review(),
    "review-confirm": lambda panel: panel.confirm_access(),
    "review-close": lambda panel: panel.close_review(),
    "webhooks": lambda panel: panel.open(WEBHOOKS),
    "add-webhook": lambda panel: panel.open(f"{WEBHOOKS}add/"),
    "webhook": lambda panel: panel.open_first(WEBHOOKS),
    "webhook-rotate": lambda panel: panel.rotate_secret(sends=False),
    "webhook-secret": lambda panel: panel.rotate_secret(sends=True),
    "deliveries": lambda panel: panel.open(DELIVERIES),
    "delivery": lambda panel: panel.open_first(DELIVERIES),
    "notices": lambda panel: panel.open(f"{WEBHOOKS}notices/"),
    "ban-people": lambda panel: panel.choose(f"{USERS}?role=viewer", "ban_people"),
}
# With the rules that the look decides about; () for all.
LOOKS = [(1280, "light", ()), (390, "dark", (*COLOURS, *SIZES))]


@pytest.fixture
def instance(sqlite_data: InstanceData, gatehouse_server: StartGatehouse) -> tuple[Gatehouse, str]:
    """A running Gatehouse, and the id of one of its people."""
    person = sqlite_data.shell(SEED)
    return gatehouse_server(
        sqlite_data,
        ALLOW_REGISTRATION="true",
        GITHUB_CLIENT_ID="x",
        GITHUB_CLIENT_SECRET="y",
    ), person


@pytest.fixture
def panel(page: Page, instance: tuple[Gatehouse, str]) -> Panel:
    opened = Panel(page, *instance)
    opened.sign_in()
    return opened


def test_every_page_follows_the_policy_fits_a_phone_and_satisfies_axe(panel: Panel) -> None:
    """One visit of each page. Axe comes last: it writes styles, which the policy reports."""
    findings: dict[str, Any] = {}

    for name, visit in PAGES.items():
        panel.look(390, "light")
        panel.reports.clear()
        visit(panel)
        panel.page.wait_for_load_state("load")
        panel.page.evaluate("0")  # an answer follows whatever the page has reported
        findings[name] = [panel.overhang() or "", *panel.reports]
        for width, scheme, rules in LOOKS:
            panel.look(width, scheme)
            findings[f"{name} {width} {scheme}"] = panel.accessibility_errors(*rules)

    assert {place: found for place, found in findings.items() if any(found)} == {}


def test_charts_open_as_tables_by_keyboard(panel: Panel) -> None:
    summary = panel.page.locator("#chart-sign-ins summary")
    summary.focus()
    panel.page.keyboard.press("Enter")

    rows = panel.page.locator("#chart-sign-ins tbody tr")
    assert rows.count() == 30
    assert rows.last.locator("td").all_inner_texts() == ["1", "0"]
    assert panel.accessibility_errors() == []


def test_the_sign_out_button_of_the_admin_works(panel: Panel) -> None:
    panel.page.locator("#user-tools > summary").click()
    panel.page.get_by_role("button", name="Sign out").click()
    panel.page.wait_for_url("**/sign-in**")

    panel.page.goto(f"{panel.instance.url}/admin/")

    assert "/sign-in?next=/admin/" in panel.page.url


@pytest.fixture
def plain_page(browser: Browser) -> Iterator[Page]:
    """A browser that runs no script."""
    context = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


def test_the_admin_works_without_scripts(plain_page: Page, instance: tuple[Gatehouse, str]) -> None:
    panel = Panel(plain_page, *instance)
    panel.sign_in()

    panel.choose(f"{MAIL}?status=dead", "send_again")

    assert plain_page.locator(".messagelist").inner_text() == "1 mail will be sent again."


def test_an_app_is_protected_in_six_clicks_without_scripts(
    plain_page: Page, instance: tuple[Gatehouse, str]
) -> None:
    panel = Panel(plain_page, *instance)
    panel.sign_in()
    clicks = 0

    def click(role: Any, name: str) -> None:
        nonlocal clicks
        clicks += 1
        with plain_page.expect_navigation():
            plain_page.get_by_role(role, name=name, exact=True).first.click()

    click("link", "Apps")
    click("link", "Protect an app")
    plain_page.locator("#id_name").fill("Photos")
    plain_page.locator("#id_url").fill("photos.example.com:1")
    click("button", "Continue")
    click("button", "Continue")
    click("button", "Create the app and show the configuration")
    assert "server_name photos.example.com;" in plain_page.locator("#file-1").input_value()
    click("button", "Test now")

    assert clicks == 6
    assert plain_page.get_by_role("heading", name="What the test has found").is_visible()
    plain_page.goto(f"{panel.instance.url}{RULES}?app=photos")
    assert plain_page.locator("#result_list tbody tr").count() == 1
