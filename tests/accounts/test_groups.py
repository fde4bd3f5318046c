"""Groups: names, who may change them, ends by the clock, what sources say, and undo."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import DeletedGroup, Group, Membership, User
from accounts.roles import Role
from accounts.services.groups import uses
from accounts.services.groups.changes import change_group, create_group, delete_group
from accounts.services.groups.members import (
    MAX_GROUPS_OF_USER,
    add_member,
    end_memberships,
    remove_member,
)
from accounts.services.groups.reading import (
    current_groups,
    find_group,
    groups_of,
    load_groups,
)
from accounts.services.groups.sources import set_groups_of_source
from accounts.services.groups.uses import GroupUse
from accounts.services.privacy import export_own_data
from accounts.services.undo import find_event, plan_undo, purge_deleted_groups, undo
from audit.models import AuditEvent
from core.errors import CannotUndo, Forbidden, NotFound, RecordInvalid

MakeUser = Callable[..., User]


@pytest.fixture
def finance(db: None) -> Group:
    return create_group(actor=SYSTEM, name="finance")


def last() -> AuditEvent:
    event = find_event(AuditEvent.objects.latest("seq").seq)
    assert event is not None
    return event


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("seq").values_list("action", flat=True))


def errors_of(error: "pytest.ExceptionInfo[RecordInvalid]") -> list[str]:
    return sorted(error.value.errors)


@pytest.mark.usefixtures("db")
def test_names_are_safe_in_headers_and_urls() -> None:
    group = create_group(actor=SYSTEM, name=" Project-X.2 ", label="Project\nX", description="a")

    assert (group.name, group.label, str(group)) == ("project-x.2", "Project X", "Project X")
    refused = (
        "", "a,b", "a b", "a\r\nb", "-a", "a-", "ä", "a" * 41, "a\n", "a/b", "owner", "NONE",
        "project-x.2", "0198c0de-0000-7000-8000-000000000001",
    )  # fmt: skip
    for name in (*refused, *Role):
        with pytest.raises(RecordInvalid) as error:
            create_group(actor=SYSTEM, name=name, label="l" * 81, description="d" * 301)
        wrong = ["description", "label"] if name == "a\n" else ["description", "label", "name"]
        assert errors_of(error) == wrong, name
    assert Group.objects.count() == 1


def test_a_group_is_found_by_its_name_and_its_id(finance: Group) -> None:
    assert find_group("Finance ") == find_group(str(finance.pk)) == finance
    for text in ("", "other", "0198c0de-0000-7000-8000-000000000001"):
        with pytest.raises(NotFound):
            find_group(text)


def test_only_administrators_change_groups(
    editor: User, viewer: User, admin: User, finance: Group
) -> None:
    for actor in (editor, viewer):
        with pytest.raises(Forbidden):
            create_group(actor=actor, name="x")
        with pytest.raises(Forbidden):
            change_group(actor=actor, group=finance, changes={"name": "y"})
        with pytest.raises(Forbidden):
            delete_group(actor=actor, group=finance)
        for target in (editor, viewer):
            with pytest.raises(Forbidden):
                add_member(actor=actor, user=target, group=finance)
            with pytest.raises(Forbidden):
                remove_member(actor=actor, user=target, group=finance)

    assert actions() == ["account:group:create"]
    assert create_group(actor=admin, name="x").name == "x"


def test_nobody_but_an_owner_adds_themselves_or_people_of_their_rank(
    owner: User, admin: User, editor: User, make_user: MakeUser, finance: Group
) -> None:
    for target in (admin, owner, make_user("admin", "other@example.com")):
        with pytest.raises(Forbidden):
            add_member(actor=admin, user=target, group=finance)
    add_member(actor=admin, user=editor, group=finance)
    add_member(actor=owner, user=owner, group=finance)
    with pytest.raises(Forbidden):
        remove_member(actor=admin, user=owner, group=finance)
    with pytest.raises(Forbidden):
        delete_group(actor=admin, group=finance)

    assert (groups_of(owner), groups_of(editor), groups_of(admin)) == (
        ("finance",),
        ("finance",),
        (),
    )


def test_members_are_added_limited_and_removed_each_with_one_row(
    owner: User, viewer: User, finance: Group
) -> None:
    until = timezone.now() + timedelta(days=2)

    add_member(actor=owner, user=viewer, group=finance)
    add_member(actor=owner, user=viewer, group=finance)
    add_member(actor=owner, user=viewer, group=finance, until=until)
    row = Membership.objects.get()
    assert (row.until, row.source, row.added_by) == (until, "manual", owner)
    assert current_groups(viewer, timezone.now()).next_end == until
    assert export_own_data(viewer)["groups"][0]["name"] == "finance"
    assert remove_member(actor=owner, user=viewer, group=finance) is True
    assert remove_member(actor=owner, user=viewer, group=finance) is False

    assert groups_of(viewer) == ()
    assert [action for action in actions() if "membership" in action] == [
        "account:membership:add", "account:membership:limit", "account:membership:remove"
    ]  # fmt: skip
    with pytest.raises(RecordInvalid) as error:
        add_member(actor=owner, user=viewer, group=finance, until=timezone.now())
    assert errors_of(error) == ["until"]


def test_a_person_is_in_so_many_groups_at_most(owner: User, viewer: User, finance: Group) -> None:
    groups = Group.objects.bulk_create(Group(name=f"g{n}") for n in range(MAX_GROUPS_OF_USER))
    Membership.objects.bulk_create(Membership(user=viewer, group=group) for group in groups)

    with pytest.raises(RecordInvalid) as error:
        add_member(actor=owner, user=viewer, group=finance)
    set_groups_of_source(user=viewer, source="directory", names={"finance"})

    assert errors_of(error) == ["group"]
    assert "finance" not in groups_of(viewer)


def test_a_membership_ends_by_the_clock_and_the_worker_writes_it_down(
    owner: User, viewer: User, finance: Group
) -> None:
    until = timezone.now() + timedelta(hours=1)
    add_member(actor=owner, user=viewer, group=finance, until=until)
    just_before = until - timedelta(seconds=1)

    assert groups_of(viewer, just_before) == ("finance",)
    assert groups_of(viewer, until) == ()
    load_groups([loaded := User.objects.get(pk=viewer.pk), owner])
    assert (groups_of(loaded, just_before), groups_of(loaded, until)) == (("finance",), ())
    assert groups_of(owner) == ()
    assert end_memberships() == 0

    Membership.objects.update(until=timezone.now())
    assert (groups_of(viewer), remove_member(actor=owner, user=viewer, group=finance)) == (
        (),
        False,
    )
    add_member(actor=owner, user=viewer, group=finance)
    assert last().detail.keys() == {"group", "group_id"}
    Membership.objects.update(until=timezone.now())
    assert (end_memberships(), end_memberships()) == (1, 0)
    assert (last().action, last().target_id) == ("account:membership:end", viewer.pk)


def test_a_source_changes_its_own_memberships_only(
    owner: User, viewer: User, finance: Group
) -> None:
    create_group(actor=owner, name="staff")
    add_member(actor=owner, user=viewer, group=finance)

    set_groups_of_source(user=viewer, source="directory", names={"finance", "staff", "unknown"})
    set_groups_of_source(user=viewer, source="provider:openid", names={"staff"})
    assert groups_of(viewer) == ("finance", "staff")
    assert Membership.objects.count() == 4
    count = AuditEvent.objects.count()
    set_groups_of_source(user=viewer, source="directory", names={"finance", "staff", "unknown"})
    assert AuditEvent.objects.count() == count
    set_groups_of_source(user=viewer, source="provider:openid", names=())
    assert last().detail["reason"] == "provider"

    remove_member(actor=owner, user=viewer, group=finance)
    assert groups_of(viewer) == ("finance", "staff")
    with pytest.raises(RecordInvalid, match="The directory puts this person into the group"):
        remove_member(actor=owner, user=viewer, group=finance)
    set_groups_of_source(user=viewer, source="directory", names=())
    assert groups_of(viewer) == ()
    with pytest.raises(CannotUndo):
        plan_undo(last())


def test_a_group_that_something_depends_on_is_deleted_by_owners_who_confirm(
    owner: User, admin: User, finance: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uses, "_finders", [lambda _group: [GroupUse("Access rule “Ledger”")]])

    with pytest.raises(Forbidden):
        delete_group(actor=admin, group=finance, confirmed=True)
    with pytest.raises(RecordInvalid, match="Access rule “Ledger”") as error:
        delete_group(actor=owner, group=finance)
    assert (errors_of(error), Group.objects.count()) == (["confirm"], 1)
    delete_group(actor=owner, group=finance, confirmed=True)

    assert Group.objects.count() == 0
    with pytest.raises(NotFound):
        change_group(actor=owner, group=finance, changes={"label": "x"})


def test_memberships_are_undone(owner: User, viewer: User, finance: Group) -> None:
    first, second = (timezone.now() + timedelta(days=days) for days in (1, 2))

    add_member(actor=owner, user=viewer, group=finance)
    undo(actor=owner, event=last())
    assert groups_of(viewer) == ()
    add_member(actor=owner, user=viewer, group=finance, until=first)
    add_member(actor=owner, user=viewer, group=finance, until=second)
    undo(actor=owner, event=last())
    assert Membership.objects.get().until == first
    remove_member(actor=owner, user=viewer, group=finance)
    removed = last()
    undo(actor=owner, event=removed)
    assert Membership.objects.get().until == first
    with pytest.raises(CannotUndo):
        plan_undo(removed)
    with pytest.raises(Forbidden):
        plan_undo(last(), actor=viewer)


def test_names_and_deletions_are_undone(
    owner: User, admin: User, viewer: User, finance: Group
) -> None:
    add_member(actor=owner, user=viewer, group=finance)
    add_member(actor=owner, user=admin, group=finance)
    set_groups_of_source(user=viewer, source="directory", names={"finance"})

    change_group(actor=owner, group=finance, changes={"name": "money", "label": "Money"})
    assert groups_of(viewer) == ("money",)
    undo(actor=owner, event=last())
    assert groups_of(viewer) == ("finance",)
    delete_group(actor=owner, group=finance)
    deleted = last()
    assert groups_of(viewer) == ()
    with pytest.raises(Forbidden):
        undo(actor=admin, event=deleted)  # it would add themselves
    undo(actor=owner, event=deleted)

    assert (groups_of(viewer), groups_of(admin)) == (("finance",), ("finance",))
    assert (Group.objects.get().pk, Membership.objects.count()) == (finance.pk, 3)
    assert purge_deleted_groups(timezone.now() + settings.UNDO_WINDOW + timedelta(1)) == 1
    assert not DeletedGroup.objects.exists()
