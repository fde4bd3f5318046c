"""People, their groups and service accounts: never against an owner."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Group, Invitation, Membership, ProfileChange, User
from accounts.models.groups import MANUAL
from accounts.services.groups.changes import change_group, create_group
from accounts.services.groups.members import add_member
from accounts.services.invitations import accept_invitation, invite
from accounts.services.service_accounts import create_service_account
from audit.models import AuditEvent
from mail.models import OutboxMail
from tests.conftest import PASSWORD, MakeUser
from tests.operations.as_code.conftest import Done

pytestmark = pytest.mark.django_db
Run = Callable[..., Done]


def test_no_file_demotes_an_owner(run: Run, owner: User, make_user: MakeUser) -> None:
    make_user(role="owner", email="second@example.com")

    done = run({"people": [{"email": owner.email, "role": "viewer"}]})

    assert done.code == 1
    assert "people[0].role: this is an owner, whom no file demotes" in done.problems
    owner.refresh_from_db()
    assert owner.role == "owner"


def test_owners_are_made_only_on_demand(run: Run, viewer: User) -> None:
    people = {
        "people": [
            {"email": viewer.email, "role": "owner"},
            {"email": "new@example.com", "role": "owner"},
            {"email": "guest@example.com", "role": "owner", "invite": True},
        ]
    }

    refused = run(people)
    assert refused.problems.count("add --allow-owners to make an owner") == 3
    assert User.objects.filter(role="owner").count() == 0

    assert run(people, "--allow-owners").code == 0
    assert {user.email for user in User.objects.filter(role="owner")} == {
        viewer.email, "new@example.com",
    }  # fmt: skip
    assert Invitation.objects.get().role == "owner"


def test_a_role_of_the_file_ends_sessions_and_is_audited(run: Run, editor: User) -> None:
    done = run({"people": [{"email": editor.email, "role": "viewer"}]})

    assert done.out.startswith(f"~ people: {editor.email}\n    role: editor -> viewer\n")
    editor.refresh_from_db()
    assert editor.role == "viewer"
    change = AuditEvent.objects.get(action="account:role:change")
    assert (change.target_id, change.detail) == (
        editor.pk, {"before": "editor", "after": "viewer"},
    )  # fmt: skip


def test_groups_of_the_file_are_those_given_by_hand_for_good(run: Run, viewer: User) -> None:
    old, limited, directory = (
        create_group(actor=SYSTEM, name=name) for name in ("old", "limited", "directory")
    )
    add_member(actor=SYSTEM, user=viewer, group=old)
    end = timezone.now() + timedelta(days=3)
    add_member(actor=SYSTEM, user=viewer, group=limited, until=end)
    Membership.objects.create(user=viewer, group=directory, source="directory")

    run({"groups": [{"name": "new"}], "people": [{"email": viewer.email, "groups": ["new"]}]})

    rows = Membership.objects.filter(user=viewer).values_list("group__name", "source", "until")
    assert set(rows) == {
        ("new", MANUAL, None), ("limited", MANUAL, end), ("directory", "directory", None),
    }  # fmt: skip


def test_an_existing_account_keeps_its_names(run: Run, viewer: User) -> None:
    before = (viewer.name, viewer.username)

    done = run({"people": [{"email": viewer.email, "name": "Another", "username": "another"}]})

    viewer.refresh_from_db()
    assert (viewer.name, viewer.username, done.out) == (*before, "No changes needed.\n")


def test_an_invitation_is_sent_once_and_becomes_the_account(run: Run) -> None:
    file = {"people": [{"email": "guest@example.com", "role": "editor", "invite": True}]}
    run(file)
    again = run(file)
    assert (again.out, OutboxMail.objects.filter(kind="invitation").count()) == (
        "No changes needed.\n", 1,
    )  # fmt: skip

    issued = invite(actor=SYSTEM, email="guest@example.com", role="editor")
    accept_invitation(issued.url.rpartition("/")[2], name="Guest", password=PASSWORD)

    assert run(file, "--plan").code == 0
    assert User.objects.get(email="guest@example.com").role == "editor"


def test_who_has_another_address_is_not_made_again(run: Run) -> None:
    """Whoever has the old address would get the role."""
    file = {"people": [{"email": "anna@example.com", "role": "admin"}]}
    run(file)
    User.objects.update(email="anna.new@example.com")

    done = run(file)

    assert done.code == 1
    assert "this is “anna.new@example.com” now: write that here" in done.problems
    assert User.objects.count() == 1


def test_what_was_renamed_in_the_panel_is_not_made_again(run: Run) -> None:
    run({"groups": [{"name": "finance"}]})
    change_group(actor=SYSTEM, group=Group.objects.get(), changes={"name": "money"})

    done = run({"groups": [{"name": "finance"}]})

    assert "groups[0].name: this is “money” now: write that here" in done.problems
    assert run({"groups": [{"name": "money"}]}).out.endswith("No changes needed.\n")


def test_a_service_account_follows_the_file(run: Run, owner: User, viewer: User) -> None:
    create_group(actor=SYSTEM, name="lab")
    bot = create_service_account(actor=SYSTEM, username="bot", responsible=owner, role="editor")
    wanted = {
        "username": "bot",
        "name": "Prints",
        "role": "viewer",
        "responsible": viewer.email,
        "team": "lab",
        "expires_at": "2999-01-01T12:00+00:00",
    }

    done = run({"service_accounts": [wanted]})

    assert done.code == 0, done.problems
    bot.refresh_from_db()
    assert (bot.name, bot.role, bot.responsible_id) == ("Prints", "viewer", viewer.pk)
    assert bot.expires_at is not None
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"account:service:hand-over", "account:service:team", "account:role:change",
            "account:expiry:set", "account:user:edit"} < actions  # fmt: skip
    # The undo of a name finds it by the number of the audit row.
    edit = AuditEvent.objects.get(action="account:user:edit")
    assert ProfileChange.objects.get().event == edit.seq
    assert run({"service_accounts": [wanted]}).out == "No changes needed.\n"
