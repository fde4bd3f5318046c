"""The overview and its page show owners what differs from the file last applied."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.actors import SYSTEM
from accounts.models import Group, User
from accounts.services.groups.changes import delete_group
from accounts.services.users import Profile, change_role, edit_profile
from applications.models import App
from applications.services.apps import edit_app
from forward_auth.models import AccessRule
from forward_auth.services.rules import create_rule, move_rule_to
from operations.as_code.drift import current_state
from tests.operations.as_code.conftest import HOOK, WIKI, Done, rule
from webhooks.models import WebhookEndpoint
from webhooks.services.endpoints import edit_endpoint, rotate_secret

pytestmark = pytest.mark.django_db
Run = Callable[..., Done]
BrowserOf = Callable[[User], Client]
PAGE = "/admin/configuration/"


@pytest.fixture
def panel(owner: User, browser_of: BrowserOf) -> Client:
    return browser_of(owner)


def drift() -> list[tuple[str, str, str, list[tuple[str, str, str]]]]:
    state = current_state()
    assert state is not None
    return [(each.how.value, each.table, each.key, [tuple(field) for field in each.fields])
            for each in state.drift]  # fmt: skip


def notices(panel: Client) -> list[tuple[str, str]]:
    return [(each.title, each.text) for each in panel.get("/admin/").context["notices"]
            if "configuration file" in each.title]  # fmt: skip


def test_without_a_file_the_page_says_how_to_begin(panel: Client) -> None:
    page = panel.get(PAGE).content.decode()

    assert "No file has been applied here." in page
    assert "manage.py export &gt; gatehouse.yaml" in page
    assert notices(panel) == []


def test_nothing_differs_right_after_a_file(run: Run, panel: Client) -> None:
    run({"groups": [{"name": "lab"}], "apps": [WIKI], "access_rules": [rule("b"), rule("a")],
         "scopes": [{"name": "books:read", "description": "read", "audience": "wiki"}],
         "webhooks": [{**HOOK, "name": "b"}, {**HOOK, "name": "a"}], "branding": {"name": "N"},
         "people": [{"email": "anna@example.com", "role": "admin"},
                    {"email": "guest@example.com", "invite": True}],
         "service_accounts": [{"username": "bot", "responsible": "anna@example.com",
                               "expires_at": "2999-01-01"}]})  # fmt: skip

    assert drift() == []
    assert "Everything that the file names is as the file says." in panel.get(PAGE).content.decode()
    assert notices(panel) == []


def test_each_difference_is_shown_with_its_fields(run: Run, panel: Client) -> None:
    run({"groups": [{"name": "lab"}], "apps": [WIKI], "access_rules": [rule("a"), rule("b")],
         "webhooks": [HOOK], "branding": {"name": "Northwind"},
         "people": [{"email": "anna@example.com", "role": "viewer"}]})  # fmt: skip
    app, hook = App.objects.get(), WebhookEndpoint.objects.get()
    edit_app(actor=SYSTEM, app=app, changes={"openid_role": "editor", "is_trusted": True})
    delete_group(actor=SYSTEM, group=Group.objects.get())
    secret_url = "https://chat.example.com/very-secret"
    edit_endpoint(actor=SYSTEM, endpoint=hook, changes={"url": secret_url})
    anna = User.objects.get(email="anna@example.com")
    change_role(actor=SYSTEM, user=anna, role="admin")
    move_rule_to(actor=SYSTEM, rule=AccessRule.objects.get(name="b"), position=1)

    assert drift() == [
        ("missing", "groups", "lab", []),
        ("changed", "people", "anna@example.com", [("role", "viewer", "admin")]),
        ("changed", "apps", "wiki", [("is_trusted", "false", "true"),
                                     ("openid_role", "viewer", "editor")]),
        ("moved", "access_rules", "", []),
        ("changed", "webhooks", "Chat", [("url", "", "")]),
    ]  # fmt: skip
    page = panel.get(PAGE).content.decode()
    assert f'href="/admin/applications/app/{app.pk}/change/"' in page
    assert "changed; the value is not shown" in page
    assert "very-secret" not in page
    named = "Groups: lab; People: anna@example.com (role); Apps: wiki (is_trusted, openid_role)"
    assert notices(panel) == [("5 objects differ from the configuration file", f"{named}; …")]


def test_what_the_file_does_not_decide_is_no_difference(run: Run) -> None:
    run({"people": [{"email": "anna@example.com"}], "webhooks": [HOOK],
         "access_rules": [rule("a"), rule("b")]})  # fmt: skip
    anna = User.objects.get(email="anna@example.com")
    change_role(actor=SYSTEM, user=anna, role="admin")
    edit_profile(actor=SYSTEM, user=anna, profile=Profile(name="Anna"))
    rotate_secret(actor=SYSTEM, endpoint=WebhookEndpoint.objects.get())
    create_rule(actor=SYSTEM, rule=AccessRule(**rule("by-hand")), position=2)

    assert drift() == []


def test_applying_the_file_again_ends_the_difference(run: Run) -> None:
    file = {"apps": [WIKI]}
    run(file)
    edit_app(actor=SYSTEM, app=App.objects.get(), changes={"is_trusted": True})
    assert len(drift()) == 1

    run(file)

    assert drift() == []


def test_only_owners_see_it(run: Run, admin: User, browser_of: BrowserOf) -> None:
    run({"groups": [{"name": "lab"}]})
    delete_group(actor=SYSTEM, group=Group.objects.get())
    browser = browser_of(admin)

    assert browser.get(PAGE).status_code == 403
    assert notices(browser) == []


def test_the_number_of_queries_does_not_grow(run: Run) -> None:
    def applied(count: int) -> int:
        names = [f"n{number}" for number in range(count)]
        run({"groups": [{"name": name} for name in names],
             "people": [{"email": f"{name}@example.com", "groups": names[:1]} for name in names],
             "apps": [{**WIKI, "slug": name, "openid_groups": names[:1]} for name in names],
             "access_rules": [rule(name, groups=names[:1], app=name) for name in names]},
            "--prune", "--yes")  # fmt: skip
        with CaptureQueriesContext(connection) as queries:
            assert drift() == []
        return len(queries)

    assert applied(1) == applied(6) <= 12


def test_an_unknown_table_of_a_later_version_is_left_out(run: Run, settings: Any) -> None:
    run({"groups": [{"name": "lab"}]})
    from operations.models import AppliedConfiguration

    row = AppliedConfiguration.objects.get()
    row.objects_applied = [*row.objects_applied, ["colors", "red", "1", True, {}]]
    row.save()

    assert drift() == []
    assert run({"groups": [{"name": "lab"}]}).out == "No changes needed.\n"
