"""Saved views of lists: an administrator's own, by name, for one list."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import SavedView, User
from accounts.services.privacy import export_own_data
from accounts.services.saved_views import MAX_VIEWS, save_view
from core.errors import RecordInvalid
from tests.conftest import MakeUser

pytestmark = pytest.mark.django_db
LIST, SAVE = "/admin/accounts/user/", "/admin/views/save/"
VIEW = {"table": "accounts.user", "name": "Viewers", "query": "role=viewer&state=active"}
BrowserOf = Callable[[User], Client]


@pytest.fixture
def browser(owner: User, browser_of: BrowserOf) -> Client:
    return browser_of(owner)


def test_a_view_is_saved_and_shown_above_its_list(browser: Client, owner: User) -> None:
    answer = browser.post(SAVE, VIEW)

    assert answer["Location"] == f"{LIST}?role=viewer&state=active"
    page = browser.get(f"{LIST}?role=viewer&state=active").content.decode()
    assert '<a href="?role=viewer&amp;state=active" aria-current="true">Viewers</a>' in page
    assert "Viewers" not in browser.get("/admin/moderation/ban/").content.decode()
    assert export_own_data(owner)["saved_views"] == [VIEW]


def test_nothing_can_be_saved_where_nothing_is_chosen(browser: Client) -> None:
    assert "Save this view" not in browser.get(LIST).content.decode()
    assert "Save this view" in browser.get(f"{LIST}?role=viewer").content.decode()


def test_a_view_of_the_same_name_is_replaced(browser: Client) -> None:
    browser.post(SAVE, VIEW)
    browser.post(SAVE, VIEW | {"query": "role=editor"})

    assert SavedView.objects.get().query == "role=editor"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": " "}, "Enter a name of at most 60 characters."),
        ({"name": "x" * 61}, "Enter a name of at most 60 characters."),
        ({"query": ""}, "Choose a filter first; a view with too many cannot be saved."),
        ({"query": "q=" + "x" * 1000}, "Choose a filter first; a view with too many cannot be "),
    ],
)
def test_what_cannot_be_saved_is_told(
    browser: Client, change: dict[str, str], message: str
) -> None:
    browser.post(SAVE, VIEW | change)

    assert message in str([str(each) for each in browser.get(LIST).context["messages"]])
    assert not SavedView.objects.exists()


def test_there_are_at_most_thirty_views_of_a_list(owner: User) -> None:
    for number in range(MAX_VIEWS):
        save_view(user=owner, table="accounts.user", name=f"View {number}", query="role=viewer")

    with pytest.raises(RecordInvalid):
        save_view(user=owner, table="accounts.user", name="One more", query="role=viewer")
    save_view(user=owner, table="accounts.user", name="View 3", query="role=editor")
    save_view(user=owner, table="moderation.ban", name="One more", query="state=active")
    assert SavedView.objects.count() == MAX_VIEWS + 1


@pytest.mark.parametrize("table", ["accounts.accounttoken", "//evil.example", ""])
def test_a_view_belongs_to_a_list_of_the_panel(browser: Client, table: str) -> None:
    assert browser.post(SAVE, VIEW | {"table": table}).status_code == 404
    assert not SavedView.objects.exists()


def test_a_query_leads_nowhere_else(browser: Client) -> None:
    query = "q=a&next=//evil.example\r\nSet-Cookie: x#y"

    answer = browser.post(SAVE, VIEW | {"query": query})

    assert answer["Location"].startswith(f"{LIST}?q=a&next=%2F%2Fevil.example%0D%0A")


def test_a_view_is_removed_by_its_owner_only(
    browser: Client, make_user: MakeUser, browser_of: BrowserOf
) -> None:
    browser.post(SAVE, VIEW)
    remove = f"/admin/views/{SavedView.objects.get().pk}/remove/"
    other = browser_of(make_user("admin", "other@example.com"))

    assert "Viewers" not in other.get(f"{LIST}?role=viewer").content.decode()
    assert other.post(remove).status_code == 404
    assert SavedView.objects.count() == 1
    assert browser.get(remove).status_code == 405
    assert browser.post(remove)["Location"] == LIST
    assert not SavedView.objects.exists()
    assert browser.post(remove).status_code == 404


def test_who_may_not_use_the_panel_saves_nothing(editor: User, browser_of: BrowserOf) -> None:
    assert browser_of(editor).post(SAVE, VIEW).status_code == 403
    assert not SavedView.objects.exists()
