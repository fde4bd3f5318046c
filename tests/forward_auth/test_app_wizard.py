"""The wizard: three steps, nothing stored before the last, and rules in the right order."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.groups.changes import create_group
from applications.models import App
from audit.models import AuditEvent
from forward_auth.models import AccessRule
from forward_auth.services.rules import create_rule

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
WIZARD = "/admin/applications/app/protect/"
APP = {"name": "Wiki", "url": "wiki.example.com", "description": "What we know."}
ACCESS = {"role": "editor", "public_paths": "/health\n/shared", "networks": "10.0.0.0/8"}
PROXY = {"proxy": "nginx", "upstream": "10.0.0.5:8080"}


@pytest.fixture
def browser(owner: User, browser_of: BrowserOf) -> Client:
    return browser_of(owner)


def step(browser: Client, sent: str, /, **fields: str) -> Any:
    return browser.get(f"{WIZARD}?{urlencode({**fields, 'step': sent})}")


def rules() -> list[tuple[str, str, str, str, list[str]]]:
    return [
        (row.name, row.effect, row.role, row.path, row.networks) for row in AccessRule.objects.all()
    ]


def test_three_steps_lead_to_the_app_its_rules_and_the_configuration(
    browser: Client, owner: User
) -> None:
    first = browser.get(WIZARD)
    assert first.context["step"] == "app"
    second = step(browser, "app", **APP)
    assert second.context["step"] == "access"
    third = step(browser, "access", **APP, **ACCESS)
    assert third.context["step"] == "proxy"
    assert [line.name for line in third.context["planned"]] == [
        "Wiki: /health for everyone",
        "Wiki: /shared for everyone",
        "Wiki: from these networks",
        "Wiki: elsewhere",
    ]
    assert (App.objects.count(), AccessRule.objects.count()) == (0, 0)
    assert not AuditEvent.objects.filter(action__startswith="sso:").exists()

    done = browser.post(WIZARD, {**APP, **ACCESS, **PROXY, "step": "proxy"})

    app = App.objects.get()
    assert (done.status_code, done["Location"]) == (
        302,
        f"/admin/applications/app/{app.pk}/set-up/",
    )
    assert (app.url, app.proxy, app.upstream) == (
        "https://wiki.example.com",
        "nginx",
        "10.0.0.5:8080",
    )
    assert rules() == [
        ("Wiki: /health for everyone", "public", "viewer", "/health", []),
        ("Wiki: /shared for everyone", "public", "viewer", "/shared", []),
        ("Wiki: from these networks", "role", "editor", "", ["10.0.0.0/8"]),
        ("Wiki: elsewhere", "deny", "viewer", "", []),
    ]
    assert {row.app for row in AccessRule.objects.all()} == {app}
    assert {row.host for row in AccessRule.objects.all()} == {"wiki.example.com"}
    written = AuditEvent.objects.filter(action__startswith="sso:", actor_id=owner.pk)
    assert list(written.order_by("seq").values_list("action", flat=True)) == [
        "sso:app:create",
        *["sso:rule:create"] * 4,
    ]


def test_groups_narrow_the_rules_and_a_deleted_one_opens_nothing(browser: Client) -> None:
    finance = create_group(actor=SYSTEM, name="finance")
    access = {"role": "editor", "public_paths": "", "networks": "", "groups": "Finance"}
    wrong = step(browser, "access", **APP, **{**access, "groups": "finanse"})
    assert "Did you mean “finance”?" in wrong.content.decode()
    third = step(browser, "access", **APP, **access)
    assert "finance" in third.context["planned"][0].whom
    assert '<input type="hidden" name="groups" value="Finance">' in third.content.decode()

    done = browser.post(WIZARD, {**APP, **access, **PROXY, "step": "proxy"})

    assert done.status_code == 302
    assert [row.group_ids for row in AccessRule.objects.all()] == [[str(finance.pk)]]
    AccessRule.objects.all().delete()
    finance.delete()
    other = {**APP, "name": "Other", "url": "other.example.com"}
    refused = browser.post(WIZARD, {**other, **access, **PROXY, "step": "proxy"})
    assert (refused.status_code, AccessRule.objects.count()) == (200, 0)
    assert refused.context["step"] == "access"


def test_the_answers_survive_the_way_back(browser: Client) -> None:
    third = step(browser, "access", **APP, **ACCESS)
    second = browser.get(f"{WIZARD}{third.context['back']}")
    first = browser.get(f"{WIZARD}{second.context['back']}")

    assert second.context["step"] == "access"
    assert second.context["form"]["public_paths"].value() == ACCESS["public_paths"]
    assert first.context["step"] == "app"
    assert first.context["form"]["name"].value() == "Wiki"
    page = first.content.decode()
    assert '<input type="hidden" name="role" value="editor">' in page
    assert '<input type="hidden" name="public_paths" value="/health\n/shared">' in page


@pytest.mark.parametrize(
    ("name", "fields", "wrong"),
    [
        ("app", {"name": "", "url": "no address"}, {"name", "url"}),
        ("access", {**APP, "role": "none"}, {"role"}),
        ("access", {**APP, "role": "viewer", "public_paths": "/"}, {"public_paths"}),
        ("access", {**APP, "role": "viewer", "public_paths": "health"}, {"public_paths"}),
        ("access", {**APP, "role": "viewer", "networks": "office"}, {"networks"}),
        (
            "access",
            {**APP, "url": "https://a.b/wiki", "role": "viewer", "public_paths": "/other"},
            {"public_paths"},
        ),
    ],
)
def test_an_error_stands_beside_its_field(
    browser: Client, name: str, fields: dict[str, str], wrong: set[str]
) -> None:
    page = step(browser, name, **fields)

    assert page.context["step"] == name
    assert set(page.context["form"].errors) == wrong


@pytest.mark.parametrize(
    ("fields", "shown", "wrong"),
    [
        ({"proxy": "apache"}, "proxy", {"proxy"}),
        ({"upstream": "http://app"}, "proxy", {"upstream"}),
        ({"url": "http://wiki.example.com"}, "proxy", {"proxy"}),
        ({"name": ""}, "app", {"name"}),
        ({"role": ""}, "access", {"role"}),
    ],
)
def test_a_wrong_last_step_stores_nothing(
    browser: Client, fields: dict[str, str], shown: str, wrong: set[str]
) -> None:
    page = browser.post(WIZARD, {**APP, **ACCESS, **PROXY, "step": "proxy", **fields})

    assert page.status_code == 200
    assert page.context["step"] == shown
    assert set(page.context["form"].errors) == wrong
    assert (App.objects.count(), AccessRule.objects.count()) == (0, 0)


def test_get_never_stores(browser: Client) -> None:
    page = step(browser, "proxy", **APP, **ACCESS, **PROXY)

    assert (page.status_code, page.context["step"]) == (200, "proxy")
    assert not App.objects.exists()


def test_new_rules_stand_before_one_that_matches_everything(browser: Client) -> None:
    for name, fields in (
        ("Health", {"effect": "public", "path": "/health"}),
        ("Nothing else", {"effect": "deny"}),
        ("Behind", {"effect": "deny", "host": "z.example.com"}),
    ):
        create_rule(actor=SYSTEM, rule=AccessRule(name=name, **fields))
    third = step(browser, "access", **APP, role="viewer")
    assert [str(line.name).count("Health") for line in third.context["before"]] == [1]

    browser.post(WIZARD, {**APP, "role": "viewer", **PROXY, "step": "proxy"})

    assert [name for name, *_ in rules()] == ["Health", "Wiki", "Nothing else", "Behind"]
    assert len({row.position for row in AccessRule.objects.all()}) == 4


def test_a_backend_that_verifies_tokens_gets_no_rules(browser: Client) -> None:
    browser.post(WIZARD, {**APP, "role": "viewer", "proxy": "backend", "step": "proxy"})

    assert App.objects.get().proxy == "backend"
    assert not AccessRule.objects.exists()


def test_an_app_below_a_path_has_rules_for_that_path(browser: Client) -> None:
    fields = {**APP, "url": "https://a.b/wiki", "role": "viewer", "public_paths": "/wiki/open"}
    browser.post(WIZARD, {**fields, **PROXY, "step": "proxy"})

    assert [(row.host, row.path) for row in AccessRule.objects.all()] == [
        ("a.b", "/wiki/open"),
        ("a.b", "/wiki"),
    ]


def test_too_many_rules_store_no_app(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forward_auth.services.rules.MAX_RULES", 1)

    page = browser.post(WIZARD, {**APP, **ACCESS, **PROXY, "step": "proxy"})

    assert page.status_code == 200
    assert "There are too many rules." in page.content.decode()
    assert (App.objects.count(), AccessRule.objects.count()) == (0, 0)
