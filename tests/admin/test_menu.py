"""The menu of the admin panel: five groups, the same order in every language, the current page."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client, RequestFactory
from django.utils import translation
from pytest_django.fixtures import Settings

from accounts.admin.navigation import MenuGroup, menu
from accounts.admin.site import site
from accounts.models import AccountToken, User
from accounts.offboarding.report import latest_report
from accounts.services.offboard import offboard
from tests.admin.conftest import LIST, MakeUser, bulk, page_of

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
AsRole = Callable[[str], tuple[Client, User]]
DOCS = Path(__file__).resolve().parents[2] / "docs"
GROUPS = [
    (
        "Users",
        [
            "/admin/accounts/user/",
            "/admin/accounts/group/",
            "/admin/accounts/invitation/",
            "/admin/accounts/browsersession/",
            "/admin/magiclinks/loginlink/",
            "/admin/access_reviews/accessreview/",
        ],
    ),
    (
        "Access",
        [
            "/admin/applications/app/",
            "/admin/forward_auth/accessrule/",
            "/admin/forward_auth/denial/",
            "/admin/api/apikey/",
            "/admin/api/tokenfamily/",
        ],
    ),
    (
        "Moderation",
        [
            "/admin/moderation/ban/",
            "/admin/moderation/violation/",
        ],
    ),
    (
        "Messages",
        [
            "/admin/mail/outboxmail/",
            "/admin/webhooks/webhookendpoint/",
            "/admin/webhooks/webhookdelivery/",
        ],
    ),
    ("Audit", ["/admin/audit/auditevent/"]),
]
# What belongs to the instance stands beside the overview.
TOP = ["/admin/health/", "/admin/settings/", "/admin/providers/", "/admin/core/branding/"]
# The further pages of a table -> where the menu lists them.
FURTHER = {
    "/admin/applications/app/": [
        "/admin/applications/customscope/",
        "/admin/oidc_provider/initialaccesstoken/",
    ],
    "/admin/forward_auth/accessrule/": ["/admin/forward_auth/accessrule/try/"],
    "/admin/moderation/ban/": ["/admin/moderation/ban/replay/", "/admin/moderation/ban/proxies/"],
    "/admin/mail/outboxmail/": ["/admin/mail/outboxmail/test/"],
    "/admin/webhooks/webhookendpoint/": ["/admin/webhooks/webhookendpoint/notices/"],
}


def shown(browser: Client, path: str) -> Any:
    """The groups of the menu on a page, with the addresses of their links."""
    groups = browser.get(path).context["menu"]
    return [(str(label), [link.url for link in links]) for label, links in groups]


def test_the_menu_has_five_groups_in_one_order(owner: User, browser_of: BrowserOf) -> None:
    browser = browser_of(owner)

    for (label, links), (expected, first) in zip(shown(browser, "/admin/"), GROUPS, strict=True):
        assert label == expected
        assert [link for link in links if link in first] == first


def test_what_belongs_to_the_instance_stands_on_top(
    owner: User, admin: User, browser_of: BrowserOf
) -> None:
    top = browser_of(owner).get("/admin/").context["menu_top"]
    assert [link.url for link in top] == TOP

    # Settings are for owners.
    others = browser_of(admin).get("/admin/").context["menu_top"]
    assert [link.url for link in others] == [path for path in TOP if path != "/admin/settings/"]


@pytest.mark.parametrize("table", FURTHER)
def test_further_pages_are_listed_below_their_table_while_it_is_current(
    owner: User, browser_of: BrowserOf, table: str
) -> None:
    browser = browser_of(owner)

    def listed(path: str) -> set[str]:
        menu_part = browser.get(path).content.decode().split('id="panel-nav"')[1]
        links = set(re.findall(r'href="([^"]+)"', menu_part.split("</nav>")[0]))
        return links & {page for pages in FURTHER.values() for page in pages}

    assert listed("/admin/") == set()
    for path in (table, *FURTHER[table]):
        assert listed(path) == set(FURTHER[table])


def test_the_order_is_the_same_in_german(owner: User, browser_of: BrowserOf) -> None:
    browser = browser_of(owner)
    english = [links for _label, links in shown(browser, "/admin/")]

    browser.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    german = [links for _label, links in shown(browser, "/admin/")]

    assert german == english


@pytest.mark.parametrize(
    ("path", "current", "mark"),
    [
        ("/admin/", "/admin/", "page"),
        ("/admin/accounts/user/", "/admin/accounts/user/", "page"),
        ("/admin/accounts/user/?q=anna", "/admin/accounts/user/", "page"),
        ("/admin/accounts/user/add/", "/admin/accounts/user/", "true"),
        ("/admin/moderation/ban/replay/", "/admin/moderation/ban/replay/", "page"),
        ("/admin/forward_auth/accessrule/try/", "/admin/forward_auth/accessrule/try/", "page"),
    ],
)
def test_one_link_is_marked_as_current(
    owner: User, browser_of: BrowserOf, path: str, current: str, mark: str
) -> None:
    page = browser_of(owner).get(path).content.decode()
    marked = re.findall(r'<a href="([^"]+)" aria-current="(\w+)"', page)

    # Once in the side bar, once in the menu of narrow windows.
    assert marked == [(current, mark), (current, mark)]


def test_who_may_not_use_the_panel_sees_no_menu(editor: User, browser_of: BrowserOf) -> None:
    page = browser_of(editor).get("/admin/")

    assert page.status_code == 403
    assert 'id="panel-nav"' not in page.content.decode()


class TeamAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """As a team writes it: without any of our attributes."""


def test_a_table_of_a_team_is_listed_without_declaring_anything(
    owner: User, rf: RequestFactory
) -> None:
    request = rf.get("/admin/")
    request.user = owner
    tables = [*site._registry.values(), TeamAdmin(AccountToken, admin.AdminSite())]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accounts.admin.navigation.reverse", lambda name: f"/{name}")
        groups = dict(menu(tables, request)["menu"])

    assert [str(label) for label in groups][-1] == "More"
    assert [link.label for link in list(groups.values())[-1]] == ["Account links"]


@pytest.mark.parametrize("table", site._registry.values(), ids=str)
def test_each_table_of_ours_has_a_group_and_a_page_of_help(table: Any) -> None:
    assert table.menu_group != MenuGroup.OTHER
    assert (DOCS / f"{table.help_page}.md").is_file()


def test_help_leads_to_the_documentation_that_is_set(
    owner: User, browser_of: BrowserOf, settings: Settings
) -> None:
    browser = browser_of(owner)
    assert "help-link" not in browser.get("/admin/mail/outboxmail/").content.decode()

    settings.DOCS_URL = "https://docs.example.com/{page}/"

    page = browser.get("/admin/mail/outboxmail/test/").content.decode()
    assert '<a class="help-link" href="https://docs.example.com/mail/"' in page


def test_the_account_menu_holds_account_language_and_sign_out(
    owner: User, browser_of: BrowserOf
) -> None:
    with translation.override("en"):
        page = browser_of(owner).get("/admin/").content.decode()
    account = page.split('id="user-tools"')[1].split("</details>")[0]

    assert 'href="/account/"' in account
    assert 'name="language" value="de"' in account
    assert 'action="/sign-out"' in account


def _crumbs(page: Any) -> list[str]:
    """The breadcrumb of a page, as read."""
    found = re.search(r'<div class="breadcrumbs">(.*?)</div>', page.content.decode(), re.DOTALL)
    assert found is not None
    return [" ".join(part.split()) for part in re.sub(r"<[^>]+>", "", found[1]).split("&rsaquo;")]


def test_a_breadcrumb_names_the_list_the_row_and_the_page(
    as_role: AsRole, make_user: MakeUser
) -> None:
    browser, owner = as_role("owner")
    jon = make_user("viewer", "jon@example.com", name="Jon")
    offboard(actor=owner, user=jon, reason="")
    event = latest_report(jon.pk)
    assert event is not None
    people = ["Overview", "People"]

    found = {
        "add": browser.get(f"{LIST}add/"),
        "change": browser.get(page_of(jon)),
        "delete": browser.get(page_of(jon, "delete")),
        "offboard": browser.post(page_of(jon, "offboard")),
        "report": browser.get(f"{LIST}{jon.pk}/offboarding/{event.seq}/"),
        "import": browser.get(f"{LIST}import/"),
        "bulk": bulk(browser, "enable_people", [jon]),
        "event": browser.get(f"/admin/audit/auditevent/{event.pk}/change/"),
        "test mail": browser.get("/admin/mail/outboxmail/test/"),
    }

    assert {name: _crumbs(page) for name, page in found.items()} == {
        "add": [*people, "Add user"],
        "change": [*people, "jon@example.com"],
        "delete": [*people, "jon@example.com", "Delete"],
        "offboard": [*people, "jon@example.com", "Offboard"],
        "report": [*people, "jon@example.com", "Offboarding"],
        "import": [*people, "Import users"],
        "bulk": [*people, "Enable"],
        "event": ["Overview", "Audit log", f"{event.pk} account:offboarding:verify"],
        "test mail": ["Overview", "Send a test mail"],
    }


def test_the_page_of_a_new_password_link_names_its_user(
    as_role: AsRole, make_user: MakeUser
) -> None:
    browser, _owner = as_role("owner")
    jon = make_user("viewer", "jon@example.com")

    page = browser.post(page_of(jon, "reset"))

    assert _crumbs(page)[1:] == ["People", "jon@example.com", "Password reset started"]


@pytest.mark.parametrize("table", site._registry.values(), ids=lambda table: table.opts.label)
def test_every_table_has_a_page_of_the_documentation(table: Any) -> None:
    assert (DOCS / f"{table.help_page}.md").is_file()


def test_every_page_of_the_menu_has_help(owner: User, browser_of: BrowserOf) -> None:
    context = browser_of(owner).get("/admin/").context
    listed = [*context["menu_top"], *(link for _label, found in context["menu"] for link in found)]
    links = [*listed, *(page for link in listed for page in link.pages)]

    assert [link.url for link in links if not (DOCS / f"{link.help_page}.md").is_file()] == []
