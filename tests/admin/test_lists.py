"""Lists of the admin panel: sorted by an index, with active filters, labelled cells and a start."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Field
from django.test import Client
from django.utils import timezone

from accounts.admin.site import site
from accounts.models import User
from audit import audit_log
from audit.models import AuditEvent
from core.models import Branding
from moderation.models import Ban, Violation
from moderation.services.bans import ban
from tests.api.keys import made
from tests.conftest import MakeUser
from tests.mfa.authenticator import set_up_app

pytestmark = pytest.mark.django_db
LIST = "/admin/accounts/user/"
BrowserOf = Callable[[User], Client]


@pytest.fixture
def browser(owner: User, browser_of: BrowserOf) -> Client:
    return browser_of(owner)


def emails(browser: Client, query: str) -> list[str]:
    return [user.email for user in browser.get(f"{LIST}{query}").context["cl"].result_list]


# Sorting


def _leading_columns(model: Any) -> Iterator[str]:
    """The columns by which an index of the table begins."""
    # A proxy shares the indexes of its table.
    for index in model._meta.concrete_model._meta.indexes:
        yield index.fields_orders[0][0]
    for field in model._meta.fields:
        if isinstance(field, Field) and (field.db_index or field.unique):
            yield field.name


@pytest.mark.parametrize("table", site._registry.values(), ids=str)
def test_lists_are_sorted_only_where_an_index_serves(table: Any) -> None:
    indexed = {*_leading_columns(table.model), "pk"}

    for name in table.sortable_by:
        column = getattr(type(table), name, None)
        order = column.admin_order_field if column is not None else name
        assert order in indexed, f"{table}: {name} is sorted by {order}"
        assert name in table.list_display, f"{table}: {name}"


def test_a_list_is_sorted_by_the_column_that_is_asked_for(
    browser: Client, make_user: MakeUser
) -> None:
    for name in ("carla", "anna", "bert"):
        make_user("viewer", f"{name}@example.com")

    assert emails(browser, "?role=viewer&o=1") == [
        "anna@example.com",
        "bert@example.com",
        "carla@example.com",
    ]
    assert emails(browser, "?role=viewer&o=-1")[0] == "carla@example.com"


def test_only_the_first_of_several_columns_sorts(browser: Client, make_user: MakeUser) -> None:
    make_user("viewer", "anna@example.com")
    make_user("viewer", "bert@example.com")

    page = browser.get(f"{LIST}?role=viewer&o=-1.5")

    ordering = page.context["cl"].queryset.query.order_by
    assert ordering == ("-email", "-id")


def test_who_never_signed_in_counts_as_longest_ago(browser: Client, make_user: MakeUser) -> None:
    now = timezone.now()
    for name, last in (("anna", None), ("bert", now - timedelta(days=9)), ("carla", now)):
        user = make_user("viewer", f"{name}@example.com")
        User.objects.filter(pk=user.pk).update(last_login=last)

    oldest_first = emails(browser, "?role=viewer&o=5")

    assert oldest_first == ["anna@example.com", "bert@example.com", "carla@example.com"]
    assert emails(browser, "?role=viewer&o=-5") == oldest_first[::-1]


def test_the_header_says_how_the_list_is_sorted(browser: Client) -> None:
    page = browser.get(f"{LIST}?o=-1").content.decode()

    header = re.findall(r'<th scope="col"[^>]*aria-sort="(\w+)"[^>]*>.*?href="([^"]+)"', page)
    assert header == [("descending", "?o=1")]


# Filters


def test_active_filters_can_be_taken_away_one_by_one(browser: Client, viewer: User) -> None:
    page = browser.get(f"{LIST}?role=viewer&state=active&q=vera&o=-1&p=1")

    found = page.context["cl"].active_filters()
    assert found == [
        ("Search", "vera", "?o=-1&role=viewer&state=active"),
        ("role", "Viewer", "?o=-1&q=vera&state=active"),
        ("state", "Active", "?o=-1&q=vera&role=viewer"),
    ]
    assert page.content.decode().count('class="chip"') == 3
    assert "Filter (3)" in re.sub(r"\s+", " ", page.content.decode())


def test_a_value_that_filters_nothing_is_no_active_filter(browser: Client) -> None:
    page = browser.get(f"{LIST}?role=nonsense")

    assert page.context["cl"].active_filters() == []


def test_removing_a_filter_keeps_those_that_begin_like_it(browser: Client, viewer: User) -> None:
    page = browser.get(f"/admin/forward_auth/denial/?person={viewer.pk}&q=example.com")

    search, person = page.context["cl"].active_filters()
    assert search.url == f"?person={viewer.pk}"
    assert person.url == "?q=example.com"


# Filters whose rows are found before the list sorts them


@pytest.mark.parametrize("cap", [10_000, 2])
def test_what_a_filter_has_found_is_sorted_like_any_list(
    browser: Client, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch, cap: int
) -> None:
    monkeypatch.setattr("accounts.admin.lists.COUNT_CAP", cap)
    for name in ("carla", "anna", "bert", "dora"):
        user = make_user("viewer", f"{name}@example.com")
        if name != "dora":
            set_up_app(user)

    found = [f"{name}@example.com" for name in ("anna", "bert", "carla")]
    assert emails(browser, "?role=viewer&factor=yes&o=1") == found
    assert emails(browser, "?role=viewer&factor=yes&o=-1") == found[::-1]
    assert emails(browser, "?role=viewer&factor=no") == ["dora@example.com"]
    assert emails(browser, "?role=editor&factor=yes") == []


def test_the_actions_of_one_kind_are_shown_in_the_order_of_the_log(
    browser: Client, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site._registry[AuditEvent], "list_per_page", 2)
    names = ["account:role:change", "account:role:keep", "account:role:limit"]
    seqs = [audit_log.record(name, target=viewer).seq for name in (*names, *names)]
    audit_log.record("account:email:verify", target=viewer)

    def found(query: str) -> list[int]:
        page = browser.get(f"/admin/audit/auditevent/?about=roles&{query}")
        return [event.seq for event in page.context["cl"].result_list]

    newest = sorted(seqs, reverse=True)
    assert [found(f"p={number}") for number in (1, 2, 3)] == [newest[:2], newest[2:4], newest[4:]]
    assert found("o=0") == newest[::-1][:2]
    assert found("q=account:role:keep") == [newest[1], newest[4]]
    assert found("result=refused") == []


# Cards, and empty lists


def test_each_cell_names_its_column(browser: Client, viewer: User) -> None:
    page = browser.get(f"{LIST}?q={viewer.email}").content.decode()
    row = page.split("<tbody")[1].split("</tbody>")[0]

    assert re.findall(r'<(?:td|th) role="(\w+)" data-label="([^"]*)"', row) == [
        ("cell", ""),
        ("rowheader", "Person"),
        *(("cell", str(name)) for name in re.findall(r'data-label="([^"]+)"', row)[1:]),
    ]
    assert 'data-label="Last sign-in"' in row


def test_what_stands_in_a_cell_stays_escaped(browser: Client, make_user: MakeUser) -> None:
    user = make_user("viewer", "x@example.com")
    User.objects.filter(pk=user.pk).update(name="<td onclick=x>")

    row = browser.get(f"{LIST}?q=x@example.com").content.decode().split("<tbody")[1]

    assert "&lt;td onclick=x&gt;" in row
    assert "<td onclick" not in row


@pytest.mark.parametrize("table", site._registry.values(), ids=str)
def test_an_empty_list_says_what_will_stand_there(table: Any) -> None:
    # Branding is one row, which always exists.
    assert table.empty_text or table.model is Branding


def test_an_empty_list_leads_on(browser: Client) -> None:
    assert not Ban.objects.exists()
    page = browser.get("/admin/moderation/ban/").content.decode()

    nothing = page.split('<div class="nothing">')[1].split("</div>")[0]
    assert "No one is banned." in nothing
    assert 'href="/admin/moderation/ban/add/"' in nothing


def test_an_empty_list_leads_no_one_to_a_page_that_refuses_them(
    make_user: MakeUser, browser_of: BrowserOf
) -> None:
    admin = browser_of(make_user("admin", "admin@example.com"))
    page = admin.get("/admin/forward_auth/accessrule/").content.decode()

    assert '<div class="nothing">' in page
    assert 'href="/admin/forward_auth/accessrule/add/"' not in page


def test_a_search_without_matches_leads_on(browser: Client) -> None:
    page = browser.get("/admin/accounts/user/?q=no-one-of-that-name").content.decode()

    nothing = page.split('<p class="nothing">')[1].split("</p>")[0]
    assert 'href="?"' in nothing
    assert 'href="/admin/accounts/user/add/"' in nothing


def test_a_list_that_is_empty_because_of_a_filter_says_so(browser: Client) -> None:
    assert not Violation.objects.exists()
    page = browser.get("/admin/moderation/violation/?ban=yes").content.decode()

    assert "No matches." in page
    assert '<div class="nothing">' not in page


# Columns that other apps add


def test_the_user_list_tells_factors_keys_and_why_someone_is_banned(
    browser: Client, owner: User, viewer: User
) -> None:
    set_up_app(viewer)
    made(viewer, "backup")
    made(viewer, "nightly")
    ban(actor=owner, user=viewer, duration=timedelta(days=2), reason="Spam <b>")

    content = browser.get(f"{LIST}?q={viewer.email}").content.decode()
    row = content.split("<tbody")[1].split("</tbody>")[0]

    assert re.findall(r'data-label="Second factors"[^>]*>([^<]*)<', row) == ["app"]
    assert f'href="/admin/api/apikey/?q={viewer.email.replace("@", "%40")}&amp;state=live"' in row
    assert ">2 keys</a>" in row
    assert '<span class="detail">Spam &lt;b&gt; · <time' in row


def test_the_user_list_asks_as_often_for_many_as_for_few(
    browser: Client,
    make_user: MakeUser,
    django_assert_max_num_queries: Callable[[int], Any],
) -> None:
    for number in range(12):
        make_user("viewer", f"v{number}@example.com")

    with django_assert_max_num_queries(16):
        browser.get(LIST)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the plan is SQLite's")
def test_an_index_sorts_who_signed_in_longest_ago(make_user: MakeUser) -> None:
    """Most of a million people may never have signed in: they need no sorting beside each other."""
    make_user()
    rows = User.objects.order_by("last_login", "-pk").values_list("pk")[:50]

    plan = rows.explain()

    assert "USING COVERING INDEX user_last_login" in plan
    assert "TEMP B-TREE" not in plan
