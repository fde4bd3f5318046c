"""The apps on the account page are those that a check lets the user open."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.users import change_role
from applications.models import App
from applications.services.apps import create_app
from forward_auth.models import AccessRule
from forward_auth.services.launcher import apps_of
from forward_auth.services.rules import create_rule
from moderation.services.bans import ban
from tests.api.calls import call
from tests.conftest import MakeUser

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
NAMES = ("open", "viewers", "editors", "admins", "owners", "closed", "default", "office", "part")
IP = "127.0.0.1"


@pytest.fixture
def apps(db: None) -> None:
    """An app for each kind of rule, and one that is not listed."""
    for name in NAMES:
        create_app(actor=SYSTEM, app=App(name=name, url=f"https://{name}.example.com"))
    create_app(
        actor=SYSTEM, app=App(name="hidden", url="https://open.example.com/x", is_listed=False)
    )
    App.objects.filter(name="part").update(url="https://part.example.com/wiki")
    for name, effect, fields in (
        ("open", "public", {}),
        ("viewers", "role", {"role": "viewer"}),
        ("editors", "role", {"role": "editor"}),
        ("admins", "role", {"role": "admin"}),
        ("owners", "role", {"role": "owner"}),
        ("closed", "deny", {}),
        ("office", "role", {"role": "viewer", "networks": ["10.0.0.0/8"]}),
        ("office", "deny", {}),
        ("part", "role", {"role": "viewer", "path": "/wiki"}),
        ("part", "deny", {}),
    ):
        rule = AccessRule(name=name, effect=effect, host=f"{name}.example.com", **fields)
        create_rule(actor=SYSTEM, rule=rule)


def asked(browser: Client) -> list[str]:
    """The apps whose address /auth/check allows to this browser."""
    return [
        app.name
        for app in App.objects.filter(is_listed=True)
        if browser.get(
            "/auth/check", headers={"x-original-url": app.url, "x-original-method": "GET"}
        ).status_code
        == 204
    ]


@pytest.mark.parametrize(
    ("role", "count"), [("viewer", 4), ("editor", 5), ("admin", 6), ("owner", 7)]
)
@pytest.mark.usefixtures("apps")
def test_the_launcher_and_the_check_agree(
    role: str, count: int, make_user: MakeUser, browser_of: BrowserOf
) -> None:
    user = make_user(role)
    browser = browser_of(user)
    names = [app.name for app in apps_of(user, IP)]

    assert names == asked(browser)
    assert len(names) == count
    by_api = call(browser, "GET", "me/apps").json()["results"]
    assert [app["name"] for app in by_api] == names
    assert set(by_api[0]) == {"id", "name", "url", "description", "initials"}
    page = browser.get("/account/").content.decode()
    urls = [app.url for app in App.objects.all() if f'<a href="{app.url}">' in page]
    assert urls == [app.url for app in apps_of(user, IP)]


@pytest.mark.usefixtures("apps")
def test_the_network_counts(viewer: User) -> None:
    assert "office" in [app.name for app in apps_of(viewer, "10.1.2.3")]
    assert "office" not in [app.name for app in apps_of(viewer, IP)]


@pytest.mark.usefixtures("apps")
def test_who_waits_for_a_role_sees_none_not_even_public_ones(
    make_user: MakeUser, browser_of: BrowserOf
) -> None:
    user = make_user("none")

    assert apps_of(user, IP) == []
    page = browser_of(user).get("/account/").content.decode()
    assert 'class="launcher"' not in page
    assert call(browser_of(user), "GET", "me/apps").json()["results"] == []


@pytest.mark.usefixtures("apps")
def test_who_may_not_act_sees_none(editor: User, viewer: User) -> None:
    ban(actor=SYSTEM, user=editor, duration=None, reason="x")
    User.objects.filter(pk=viewer.pk).update(expires_at=timezone.now() - timedelta(minutes=1))
    viewer.refresh_from_db()

    assert apps_of(editor, IP) == []
    assert apps_of(viewer, IP) == []


@pytest.mark.usefixtures("apps")
def test_access_that_is_taken_away_is_gone_at_the_next_load(
    editor: User, owner: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(editor)
    assert "https://editors.example.com" in browser.get("/account/").content.decode()

    change_role(actor=owner, user=editor, role="viewer")

    assert "https://editors.example.com" not in browser.get("/account/").content.decode()


def test_without_apps_there_is_no_section(viewer: User, browser_of: BrowserOf) -> None:
    assert 'class="launcher"' not in browser_of(viewer).get("/account/").content.decode()


@pytest.mark.usefixtures("apps")
def test_the_number_of_queries_does_not_depend_on_the_number_of_apps(
    viewer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(4):  # groups, bans, rules, apps
        few = apps_of(viewer, IP)
    for number in range(30):
        create_app(actor=SYSTEM, app=App(name="More", url=f"https://m{number}.example.com"))
        create_rule(
            actor=SYSTEM,
            rule=AccessRule(name="m", effect="role", host=f"m{number}.example.com"),
        )

    with django_assert_num_queries(4):
        assert len(apps_of(viewer, IP)) == len(few) + 30
