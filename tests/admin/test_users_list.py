"""The user list: display, search, filters, counts and rejected input."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.admin import actions
from accounts.admin.site import site
from accounts.admin.users.filters import StateFilter, state_of
from accounts.models import User
from tests.admin.conftest import LIST, BrowserOf, MakeUser, bulk, notices, page_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(owner: User, browser_of: BrowserOf) -> Client:
    return browser_of(owner)


def _found(browser: Client, **query: str) -> set[str]:
    answer = browser.get(LIST, query)
    assert answer.status_code == 200, answer
    return {user.email.partition("@")[0] for user in answer.context["cl"].result_list}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("VIEWER@", {"viewer"}),
        ("vera", {"viewer"}),
        ("edgar ed", {"editor"}),
        ("%", set()),
        ("_", set()),
        ("' OR 1=1 --", set()),
        ("x" * 5000, set()),
        ("{not-a-uuid}", set()),
        ("00000000-0000-0000-0000-000000000000", set()),
        ("٣", set()),
    ],
)
def test_search_finds_parts_of_address_name_and_user_name(
    browser: Client, viewer: User, editor: User, text: str, expected: set[str]
) -> None:
    assert _found(browser, q=text) == expected


def test_search_finds_a_user_by_the_whole_id(browser: Client, viewer: User, editor: User) -> None:
    assert _found(browser, q=str(viewer.pk)) == {"viewer"}
    assert _found(browser, q=f" {editor.pk.hex} ") == {"editor"}
    assert _found(browser, q=str(viewer.pk)[:20]) == set()


def test_search_for_a_null_character_is_rejected_with_a_message(browser: Client) -> None:
    answer = browser.get(LIST, {"q": "a\x00b"})

    assert answer.status_code == 200
    assert [str(m) for m in answer.context["messages"]] == ["Null characters are not allowed."]


def test_a_null_character_never_reaches_the_database(rf: RequestFactory, viewer: User) -> None:
    users = site.get_model_admin(User)

    found, _distinct = users.get_search_results(rf.get(LIST), User.objects.all(), "a\x00b")

    assert found.query.is_empty()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"role": "viewer"}, {"disabled", "long-ago", "lately"}),
        ({"role": "none"}, {"waiting"}),
        ({"state": "active"}, {"owner", "long-ago", "lately"}),
        ({"state": "disabled"}, {"disabled"}),
        ({"state": "no-access"}, {"waiting"}),
        ({"state": "not-set-up"}, {"default"}),
        ({"verified": "no"}, {"waiting"}),
        ({"verified": "yes"}, {"owner", "disabled", "default", "long-ago", "lately"}),
        ({"signed-in": "today"}, {"owner"}),
        ({"signed-in": "7"}, {"owner"}),
        ({"signed-in": "30"}, {"owner", "lately"}),
        ({"signed-in": "90"}, {"owner", "lately"}),
        ({"signed-in": "longer"}, {"long-ago"}),
        ({"signed-in": "never"}, {"disabled", "waiting", "default"}),
        ({"created": "longer"}, {"long-ago"}),
        ({"created": "90"}, {"owner", "disabled", "waiting", "default", "lately"}),
        ({"role": "viewer", "state": "disabled"}, {"disabled"}),
        (
            {"role": "bogus", "state": "\x00"},
            {"owner", "disabled", "waiting", "default", "long-ago", "lately"},
        ),
    ],
)
def test_filters(
    browser: Client, make_user: MakeUser, query: dict[str, str], expected: set[str]
) -> None:
    now = timezone.now()
    make_user("viewer", "disabled@example.com", is_active=False)
    make_user("none", "waiting@example.com", is_verified=False)
    make_user("owner", "default@example.com", setup_completed=False)
    long_ago = now - timedelta(days=100)
    make_user("viewer", "long-ago@example.com", last_login=long_ago, created_at=long_ago)
    make_user("viewer", "lately@example.com", last_login=now - timedelta(days=20))

    assert _found(browser, **query) == expected


def test_the_state_shown_is_the_state_filtered_by(make_user: MakeUser) -> None:
    for role in ("none", "viewer", "owner"):
        for is_active in (True, False):
            for setup_completed in (True, False):
                make_user(role, is_active=is_active, setup_completed=setup_completed)
    options = StateFilter.__new__(StateFilter).options(RequestFactory().get("/"))

    for state, _label, condition in options:
        by_filter = set(User.objects.filter(condition))
        assert by_filter == {user for user in User.objects.all() if state_of(user) == state}


def test_the_unfinished_default_owner_is_shown_as_not_set_up(
    browser: Client, make_user: MakeUser
) -> None:
    make_user("owner", "admin@admin.com", setup_completed=False)

    content = browser.get(LIST, {"q": "admin@admin.com"}).content.decode()

    assert '<span class="state state-not-set-up">Not set up yet</span>' in content


def test_last_sign_in_is_shown_in_words_with_the_exact_time_in_the_title(
    browser: Client, viewer: User
) -> None:
    moment = timezone.now() - timedelta(hours=3, minutes=4)
    User.objects.filter(pk=viewer.pk).update(last_login=moment)

    content = browser.get(LIST, {"q": "vera"}).content.decode()

    assert f'<time datetime="{moment.isoformat()}" title="' in content
    assert ">3\xa0hours ago</time>" in content


@pytest.mark.parametrize(
    "lookup",
    [
        "password__startswith",
        "password",
        "email__contains",
        "credentials_valid_from__gt",
        "sessions__session_key__startswith",
        "tokens__digest__startswith",
        "id__gt",
        "role__exact",
    ],
)
def test_only_lookups_of_the_filters_are_accepted(browser: Client, lookup: str) -> None:
    assert browser.get(LIST, {lookup: "x"}).status_code == 400


@pytest.mark.parametrize(
    "query", [{"p": "abc"}, {"p": "99999999"}, {"o": "1.-2.x"}, {"all": ""}, {"e": "1"}]
)
def test_odd_query_strings_of_the_list_never_fail(browser: Client, query: dict[str, str]) -> None:
    answer = browser.get(LIST, query, follow=True)

    assert answer.status_code == 200


def test_the_newest_users_come_first_unless_a_column_with_an_index_is_asked_for(
    browser: Client, owner: User, viewer: User, editor: User
) -> None:
    # Role, state, no column, columns that do not exist, and a number that no one can read.
    for query in ({}, {"o": "2"}, {"o": "-3"}, {"o": "0"}, {"o": "99"}, {"o": "9" * 5000}):
        shown = browser.get(LIST, query).context["cl"].result_list
        assert [user.pk for user in shown] == sorted([owner.pk, viewer.pk, editor.pk], reverse=True)


def _queries(browser: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert browser.get(url).status_code == 200
    return len(captured)


def test_the_list_needs_the_same_number_of_queries_for_60_users_as_for_5(
    browser: Client, make_user: MakeUser
) -> None:
    for _ in range(4):
        make_user()
    few = _queries(browser, LIST), _queries(browser, f"{LIST}?q=example&state=active")
    for _ in range(55):
        make_user()

    assert (_queries(browser, LIST), _queries(browser, f"{LIST}?q=example&state=active")) == few
    # One of them reads the groups of the filter.
    assert few[0] <= 10


def test_a_whole_address_finds_exactly_that_user(browser: Client, make_user: MakeUser) -> None:
    make_user("viewer", "ann@example.com")
    make_user("viewer", "joann@example.com")

    assert _found(browser, q="Ann@Example.com") == {"ann"}
    assert _found(browser, q="ann@example") == {"ann", "joann"}


def test_an_address_outside_the_filter_is_not_found(browser: Client, make_user: MakeUser) -> None:
    make_user("editor", "ann@example.com")

    assert _found(browser, q="ann@example.com", role="viewer") == set()


def test_a_search_scans_all_users_once(browser: Client, viewer: User) -> None:
    with CaptureQueriesContext(connection) as captured:
        browser.get(LIST, {"q": "view"})

    looks = [query["sql"] for query in captured if re.search(r"(INSTR|STRPOS)\(", query["sql"])]
    assert len(looks) == 1


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the plan is SQLite's")
def test_a_search_reads_only_the_index() -> None:
    keys = User.objects.search("view").order_by("-pk").values_list("pk", flat=True)[:10]
    statement, values = keys.query.sql_with_params()

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}", values)
        steps = [(name, file, str(more)) for _at, name, file, *_rest, more, _p5, _c in cursor]

    assert "SCAN accounts_user USING INDEX user_search_text" in keys.explain()
    index = {file for name, file, more in steps if name == "OpenRead" and more.startswith("k(")}
    assert {file for name, file, _more in steps if name == "Column"} == index != set()


def test_a_search_with_more_matches_than_the_cap_shows_the_newest(
    browser: Client, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.admin.base.COUNT_CAP", 3)
    monkeypatch.setattr("accounts.admin.lists.COUNT_CAP", 3)
    monkeypatch.setattr("accounts.admin.users.model_admin.COUNT_CAP", 3)
    made = [make_user("viewer", f"same{number}@example.com") for number in range(6)]

    shown = browser.get(LIST, {"q": "same"}).context["cl"]

    assert shown.paginator.count == 3
    assert shown.paginator.is_capped
    assert list(shown.result_list)[:3] == made[:-4:-1]


def test_the_page_of_a_user_needs_the_same_number_of_queries_after_many_events(
    browser: Client, viewer: User
) -> None:
    browser.post(page_of(viewer, "end-sessions"))
    browser.get(LIST)
    browser.get(page_of(viewer))  # Django keeps the content type from now on
    few = _queries(browser, page_of(viewer))
    for _ in range(10):
        browser.post(page_of(viewer, "end-sessions"))
    browser.get(LIST)

    assert _queries(browser, page_of(viewer)) == few


def test_no_page_holds_a_password_hash_or_a_session_key(
    browser: Client, owner: User, viewer: User, browser_of: BrowserOf
) -> None:
    browser_of(viewer)
    pages = [LIST, f"{LIST}add/", page_of(viewer), page_of(viewer, "delete"), page_of(owner)]
    secrets = [viewer.password, owner.password, viewer.password.split("$")[-1]]
    secrets += [row.session_key for user in (viewer, owner) for row in user.sessions.all()]

    for url in pages:
        content = browser.get(url).content.decode()
        assert [secret for secret in secrets if secret in content] == [], url


def test_several_users_change_role_after_the_confirmation_page(
    admin: User, viewer: User, editor: User, owner: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(admin)

    page = bulk(browser, "change_role_of_people", [viewer, editor, owner])

    assert page.status_code == 200
    assert [value for value, _label in page.context["form"].fields["role"].choices] == [
        "",
        "editor",
        "viewer",
        "none",
    ]
    assert viewer.email in page.content.decode()
    done = bulk(
        browser, "change_role_of_people", [viewer, editor, owner], role="none", confirmed="yes"
    )
    assert done.status_code == 302
    assert notices(browser) == ["2 done, 1 skipped: rank"]
    roles = {user.email: user.role for user in User.objects.all()}
    assert (roles[viewer.email], roles[editor.email], roles[owner.email]) == (
        "none",
        "none",
        "owner",
    )


@pytest.mark.parametrize("role", ["admin", "owner", "bogus", ""])
def test_an_admin_cannot_give_a_forged_role_to_several(
    admin: User, viewer: User, browser_of: BrowserOf, role: str
) -> None:
    browser = browser_of(admin)

    answer = bulk(browser, "change_role_of_people", [viewer], role=role, confirmed="yes")

    assert answer.status_code == 200
    assert "role" in answer.context["form"].errors
    viewer.refresh_from_db()
    assert viewer.role == "viewer"


def test_deleting_several_users_asks_first_and_lists_what_is_deleted(
    browser: Client, viewer: User, editor: User, browser_of: BrowserOf
) -> None:
    browser_of(viewer)

    page = bulk(browser, "delete_selected", [viewer, editor])

    content = page.content.decode()
    assert (page.status_code, User.objects.count()) == (200, 3)
    assert "<li>Users: 2</li>" in content
    assert "<li>Sessions: 1</li>" in content
    assert viewer.email in content
    bulk(browser, "delete_selected", [viewer, editor], confirmed="yes")
    assert notices(browser) == ["2 done"]
    assert User.objects.count() == 1


def test_reset_links_of_several_users_are_shown_once_above_the_list(
    admin: User, viewer: User, editor: User, owner: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(admin)
    disabled = User.objects.get(pk=editor.pk)
    User.objects.filter(pk=editor.pk).update(is_active=False)

    answer = bulk(
        browser, "start_reset_of_people", [viewer, disabled, owner, admin], confirmed="yes"
    )

    rows = answer.context["panel"]["rows"]
    content = answer.content.decode()
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "strict-origin"
    assert [row["person"].email for row in rows] == [viewer.email]
    assert rows[0]["link"].url in content
    shown = [str(message) for message in answer.context["messages"]]
    assert shown[0].startswith("1 done, 1 skipped: This account is disabled. Ask an administrator")
    assert shown[0].endswith("1 skipped: rank")
    token = rows[0]["link"].url.rstrip("/").rpartition("/")[2]
    assert token not in browser.get(LIST).content.decode()
    assert token not in str(dict(browser.session.items()))


def test_too_many_selected_users_get_no_links(browser: Client, make_user: MakeUser) -> None:
    people = [make_user(password=None) for _ in range(actions.MAX_SECRETS + 1)]

    answer = bulk(browser, "start_reset_of_people", people)

    assert answer.status_code == 302
    assert notices(browser) == ["Nothing was changed: choose at most 100 people at once."]
    assert not User.objects.filter(tokens__isnull=False).exists()


@pytest.mark.parametrize("key", ["1", "x", "\x00", "' OR 1=1"])
def test_selections_that_are_no_ids_change_nothing(browser: Client, viewer: User, key: str) -> None:
    answer = browser.post(
        LIST, {"action": "disable_people", "index": "0", "_selected_action": [viewer.pk, key]}
    )

    assert answer.status_code == 302
    assert notices(browser)[0] == "Nothing was changed: please tick people of the list."
    viewer.refresh_from_db()
    assert viewer.is_active


def test_an_action_on_all_pages_applies_to_the_filtered_users(
    browser: Client, viewer: User, editor: User
) -> None:
    ticked = {"action": "disable_people", "confirmed": "yes", "select_across": "1"}

    browser.post(f"{LIST}?role=viewer", ticked | {"_selected_action": [viewer.pk]})

    active = set(User.objects.filter(is_active=True).values_list("role", flat=True))
    assert active == {"owner", "editor"}


def test_an_action_that_does_not_exist_changes_nothing(browser: Client, viewer: User) -> None:
    answer = bulk(browser, "hard_delete", [viewer])

    assert answer.status_code == 302
    assert User.objects.filter(pk=viewer.pk).exists()


def test_other_apps_can_add_actions(
    browser: Client, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    greeted: list[str] = []
    monkeypatch.setattr(actions, "_actions", {})

    @actions.user_action(description="Greet")
    def greet(_admin: Any, _request: Any, queryset: Any) -> None:
        greeted.extend(user.email for user in queryset)

    assert '<option value="greet">Greet</option>' in browser.get(LIST).content.decode()
    assert bulk(browser, "greet", [viewer]).status_code == 302
    assert greeted == [viewer.email]


@pytest.mark.parametrize("action", ["disable_people", "delete_selected", "change_role_of_people"])
def test_a_bulk_deletion_of_all_owners_keeps_the_acting_one(
    browser: Client, owner: User, make_user: MakeUser, action: str
) -> None:
    older = make_user("owner", "older@example.com", id=uuid.UUID(int=1))

    bulk(browser, action, [owner, older], role="viewer", confirmed="yes")

    assert notices(browser) == ["1 done, 1 skipped: last owner"]
    assert list(User.objects.active_owners()) == [owner]
