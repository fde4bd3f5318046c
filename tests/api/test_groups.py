"""/api/v1/groups, the groups of users and of oneself, and the commands for groups."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Group, Membership, User
from accounts.services.groups.changes import create_group
from accounts.services.groups.members import add_member
from accounts.services.groups.reading import groups_of
from accounts.services.groups.sources import set_groups_of_source
from accounts.services.groups.uses import GroupUse, _finders
from audit.models import AuditEvent
from tests.api.calls import call, problem
from tests.api.keys import call_with, made

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]


@pytest.fixture
def panel(owner: User, browser_of: BrowserOf) -> Client:
    return browser_of(owner)


def run(*args: str) -> str:
    out = StringIO()
    call_command(*args, stdout=out)
    return out.getvalue()


def errors(answer: Any) -> list[str]:
    assert problem(answer) == (402, "record_invalid")
    return sorted(answer.json()["errors"])


def test_a_group_is_created_read_changed_and_deleted(panel: Client) -> None:
    answer = call(panel, "POST", "groups", {"name": "Finance", "label": "Finance team"})
    group = answer.json()

    assert answer.status_code == 201
    assert answer["Location"] == f"http://localhost:8000/api/v1/groups/{group['id']}"
    assert (group["name"], group["label"], group["member_count"]) == ("finance", "Finance team", 0)
    assert call(panel, "GET", "groups/finance").json() == group
    assert call(panel, "GET", "groups").json()["results"] == [group]
    changed = call(panel, "PATCH", f"groups/{group['id']}", group | {"name": "money"})
    assert changed.json() == group | {"name": "money"}
    assert errors(call(panel, "POST", "groups", {"name": "owner", "lable": "x"})) == [
        "lable",
        "name",
    ]
    assert errors(call(panel, "PATCH", "groups/money", {"name": "a,b"})) == ["name"]
    assert problem(call(panel, "GET", "groups/finance")) == (404, "not_found")
    _finders.append(lambda _group: [GroupUse("Access rule “Ledger”")])
    try:
        assert errors(call(panel, "DELETE", "groups/money")) == ["confirm"]
        assert call(panel, "DELETE", "groups/money?confirm=true").status_code == 204
    finally:
        _finders.pop()
    assert not Group.objects.exists()


def test_people_are_added_listed_and_removed(
    panel: Client, owner: User, viewer: User, editor: User
) -> None:
    finance = create_group(actor=SYSTEM, name="finance")
    end = timezone.now() + timedelta(days=1)
    ids = [str(viewer.pk), str(editor.pk)]

    answer = call(
        panel, "POST", "groups/finance/members", {"user_ids": ids, "until": end.isoformat()}
    )
    assert answer.status_code == 201
    assert [row["user_id"] for row in answer.json()["results"]] == ids
    set_groups_of_source(user=viewer, source="directory", names={"finance"})
    listed = call(panel, "GET", "groups/finance/members").json()["results"]
    assert [(row["email"], row["source"]) for row in listed] == [
        (viewer.email, "directory"), (editor.email, "manual"), (viewer.email, "manual"),
    ]  # fmt: skip
    assert listed[2]["added_by_id"] == str(owner.pk)
    assert call(panel, "GET", "groups/finance").json()["member_count"] == 2
    found = call(panel, "GET", "users?group=finance").json()["results"]
    assert {row["email"]: row["groups"] for row in found} == {
        viewer.email: ["finance"], editor.email: ["finance"],
    }  # fmt: skip
    assert call(panel, "GET", f"users/{owner.pk}").json()["groups"] == []
    assert errors(call(panel, "GET", "users?group=nope")) == ["group"]

    path = f"groups/finance/members/{editor.pk}"
    assert call(panel, "DELETE", path).status_code == 204
    assert problem(call(panel, "DELETE", path)) == (404, "not_found")
    assert call(panel, "DELETE", f"groups/finance/members/{viewer.pk}").status_code == 204
    assert errors(call(panel, "DELETE", f"groups/finance/members/{viewer.pk}")) == ["group"]
    gone = "00000000-0000-7000-8000-000000000009"
    body = {"user_ids": [str(editor.pk), gone]}
    assert errors(call(panel, "POST", "groups/finance/members", body)) == ["user_ids"]
    assert not finance.memberships.filter(user=editor).exists()


def test_all_are_added_or_nobody_and_rank_holds(
    admin: User, viewer: User, owner: User, browser_of: BrowserOf
) -> None:
    create_group(actor=SYSTEM, name="finance")
    browser = browser_of(admin)
    body = {"user_ids": [str(viewer.pk), str(admin.pk)]}

    assert problem(call(browser, "POST", "groups/finance/members", body)) == (403, "forbidden")
    assert not Membership.objects.exists()
    key = made(viewer, scopes=["read"]).text
    assert problem(call_with(key, path="groups")) == (403, "forbidden")


def test_me_shows_my_groups_and_follows_the_clock(viewer: User) -> None:
    key = made(viewer).text
    for name in ("staff", "lab"):
        add_member(actor=SYSTEM, user=viewer, group=create_group(actor=SYSTEM, name=name))

    assert [call_with(key).json()["groups"] for _again in range(2)] == [["lab", "staff"]] * 2
    Membership.objects.filter(group__name="lab").update(until=timezone.now())
    assert call_with(key).json()["groups"] == ["staff"]


def test_commands_create_add_list_and_remove(viewer: User, editor: User) -> None:
    with pytest.raises(CommandError, match="--create creates it"):
        run("addtogroup", "lab", viewer.email)
    run("addtogroup", "lab", viewer.email, editor.email, "--create", "--until", "2099-01-31")
    assert groups_of(viewer) == groups_of(editor) == ("lab",)
    with pytest.raises(CommandError, match="Nothing was changed"):
        run("addtogroup", "lab", viewer.email, "--until", "2099-01-31")
    assert json.loads(run("listgroups", "--json"))["member_count"] == 2
    assert run("listgroups", "lab").splitlines()[0].startswith(editor.email)
    assert {
        json.loads(line)["source"] for line in run("listgroups", "lab", "--json").splitlines()
    } == {"manual"}
    assert json.loads(run("listusers", "--group", "lab", "--role", "viewer", "--json"))[
        "groups"
    ] == ["lab"]
    run("removefromgroup", "lab", viewer.email)
    assert groups_of(viewer) == ()
    with pytest.raises(CommandError, match="Nothing was changed"):
        run("removefromgroup", "lab", viewer.email)
    for args in (("listgroups", "nope"), ("removefromgroup", "nope", viewer.email)):
        with pytest.raises(CommandError, match="There is no such group"):
            run(*args)
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.channel) == ("account:membership:remove", "command")
