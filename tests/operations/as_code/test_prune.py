"""What left the file is removed on demand: only what apply manages, and never an owner."""

from collections.abc import Callable

import pytest

from accounts.actors import SYSTEM
from accounts.models import Group, Invitation, User
from accounts.services.groups.changes import create_group, delete_group
from accounts.services.users import create_user, disable_user
from applications.models import App
from forward_auth.models import AccessRule
from forward_auth.services.rules import create_rule
from tests.operations.as_code.conftest import HOOK, WIKI, Done, rule
from webhooks.models import WebhookEndpoint

pytestmark = pytest.mark.django_db
Run = Callable[..., Done]


def test_what_left_the_file_is_told_and_removed_on_demand(run: Run) -> None:
    run({"groups": [{"name": "a"}, {"name": "b"}], "apps": [WIKI], "webhooks": [HOOK],
         "access_rules": [rule("a")]})  # fmt: skip
    smaller = {"groups": [{"name": "a"}]}

    kept = run(smaller)
    assert kept.out.splitlines() == [
        "No longer in the file, and removed by --prune:",
        "    webhooks: Chat",
        "    access_rules: a",
        "    apps: wiki",
        "    groups: b",
        "No changes needed.",
    ]
    assert App.objects.exists()

    plan, done = run(smaller, "--plan", "--prune"), run(smaller, "--prune", "--yes")

    assert plan.code == 2
    assert plan.out.splitlines()[:-1] == [
        "- webhooks: Chat (deleted)",
        "- access_rules: a (deleted)",
        "- apps: wiki (deleted)",
        "- groups: b (deleted)",
    ]
    assert done.out.endswith("Applied: 0 created, 0 changed, 4 removed.\n")
    assert [group.name for group in Group.objects.all()] == ["a"]
    for model in (App, AccessRule, WebhookEndpoint):
        assert model.objects.count() == 0
    assert run(smaller, "--prune").out == "No changes needed.\n"


def test_a_long_list_of_what_left_the_file_is_cut(run: Run) -> None:
    run({"groups": [{"name": f"g{number:02}"} for number in range(22)]})

    lines = run({}, "--plan").out.splitlines()

    assert len(lines) == 23
    assert lines[-3:] == ["    groups: g19", "    and 2 more", "No changes needed."]


def test_removing_asks(run: Run) -> None:
    run({"groups": [{"name": "a"}]})

    done = run({}, "--prune")

    assert done.code == 1
    assert "Remove this object? Add --yes to do it without being asked." in done.problems
    assert Group.objects.exists()


def test_only_what_apply_manages_is_removed(run: Run, owner: User, viewer: User) -> None:
    create_group(actor=SYSTEM, name="by-hand")
    disabled = create_user(actor=SYSTEM, email="gone@example.com")
    disable_user(actor=SYSTEM, user=disabled)
    run({"people": [{"email": owner.email}, {"email": viewer.email, "role": "editor"},
                    {"email": "made@example.com"}],
         "groups": [{"name": "again"}]})  # fmt: skip
    # Somebody has deleted the group and made another one of this name.
    delete_group(actor=SYSTEM, group=Group.objects.get(name="again"))
    create_group(actor=SYSTEM, name="again")

    smaller = run({}, "--plan")
    assert smaller.out.splitlines()[1:] == ["    people: made@example.com", "No changes needed."]
    done = run({}, "--prune", "--yes")

    assert done.out.splitlines() == [
        "- people: made@example.com (disabled)",
        "Applied: 0 created, 0 changed, 1 removed.",
    ]
    assert {group.name for group in Group.objects.all()} == {"by-hand", "again"}
    states = dict(User.objects.values_list("email", "is_active"))
    assert states == {owner.email: True, viewer.email: True, "made@example.com": False,
                      "gone@example.com": False}  # fmt: skip
    owner.refresh_from_db()
    assert owner.role == "owner"


def test_an_owner_whom_a_file_has_made_stays(run: Run) -> None:
    run({"people": [{"email": "boss@example.com", "role": "owner"}]}, "--allow-owners")

    done = run({}, "--prune", "--yes")

    assert done.out == "No changes needed.\n"
    boss = User.objects.get()
    assert (boss.role, boss.is_active) == ("owner", True)


def test_a_group_that_something_depends_on_is_not_removed(run: Run) -> None:
    run({"groups": [{"name": "lab"}]})
    group = Group.objects.get()
    create_rule(
        actor=SYSTEM, rule=AccessRule(name="by hand", effect="role", group_ids=[str(group.pk)])
    )

    done = run({}, "--prune", "--yes")

    assert done.code == 1
    assert "groups: lab: This depends on the group: Access rule “by hand”." in done.problems
    assert Group.objects.exists()


def test_an_open_invitation_is_withdrawn(run: Run) -> None:
    run({"people": [{"email": "guest@example.com", "invite": True}]})

    done = run({}, "--prune", "--yes")

    assert done.out.startswith("- people: guest@example.com (withdrawn)\n")
    assert Invitation.objects.get().replaced_at is not None


def test_a_service_account_and_its_team_leave_together(run: Run, owner: User) -> None:
    bot = {"username": "bot", "responsible": owner.email, "team": "lab"}
    run({"groups": [{"name": "lab"}], "service_accounts": [bot]})

    done = run({}, "--prune", "--yes")

    assert done.out.splitlines()[:-1] == [
        "- service_accounts: bot (disabled)", "- groups: lab (deleted)",
    ]  # fmt: skip
    account = User.objects.get(username="bot")
    assert (account.is_active, account.responsible_group_id) == (False, None)
