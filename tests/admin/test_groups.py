"""Groups in the admin panel: the list, the page of a group, and the page of a person."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Group, Membership, User
from accounts.services.groups.changes import create_group
from accounts.services.groups.members import add_member
from accounts.services.groups.reading import groups_of
from accounts.services.groups.sources import set_groups_of_source
from audit.models import AuditEvent
from forward_auth.models import AccessRule
from forward_auth.services.rules import create_rule

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
GROUPS, USERS = "/admin/accounts/group/", "/admin/accounts/user/"


@pytest.fixture
def panel(admin: User, browser_of: BrowserOf) -> Client:
    return browser_of(admin)


@pytest.fixture
def finance(db: None) -> Group:
    return create_group(actor=SYSTEM, name="finance", label="Finance team")


def messages(answer: object) -> list[str]:
    return [str(message) for message in answer.context["messages"]]  # type: ignore[attr-defined]


def test_an_administrator_adds_and_renames_a_group(panel: Client, admin: User) -> None:
    wrong = panel.post(f"{GROUPS}add/", {"name": "Owner", "label": "", "description": ""})
    assert list(wrong.context["adminform"].form.errors) == ["name"]

    made = panel.post(f"{GROUPS}add/", {"name": "Lab", "label": "", "description": ""})
    group = Group.objects.get()
    assert (made["location"], group.name) == (f"{GROUPS}{group.pk}/change/", "lab")
    fields = {"name": "labs", "label": "Labs", "description": ""}
    panel.post(f"{GROUPS}{group.pk}/change/", fields)
    event = AuditEvent.objects.latest("seq")
    assert (event.actor_id, event.detail["after"]) == (admin.pk, {"name": "labs", "label": "Labs"})


def test_the_page_of_a_group_adds_all_people_or_nobody(
    panel: Client, finance: Group, admin: User, viewer: User, editor: User
) -> None:
    url, page = f"{GROUPS}{finance.pk}/add/", f"{GROUPS}{finance.pk}/change/"

    unknown = panel.post(url, {"people": f"{viewer.email}\nnobody", "until": ""}, follow=True)
    assert "no account with the address or user name nobody" in messages(unknown)[0]
    own = panel.post(url, {"people": f"{viewer.email}\n{admin.email}", "until": ""}, follow=True)
    assert messages(own) == ["You may only manage people whose role is below your own."]
    assert not Membership.objects.exists()
    both = panel.post(url, {"people": f"{viewer.email}, {editor.email}", "until": ""}, follow=True)
    assert messages(both)[0] == "2 people are in the group."

    set_groups_of_source(user=viewer, source="directory", names={"finance"})
    add_member(actor=SYSTEM, user=admin, group=finance)
    rows = panel.get(page).context["people"].rows
    assert [(row.cells[2], row.button is not None) for row in rows] == [
        ("by hand", False), ("by hand", True), ("directory", False), ("by hand", True),
    ]  # fmt: skip
    panel.post(f"{GROUPS}{finance.pk}/remove/{editor.pk}/")
    assert groups_of(editor) == ()
    assert ">2</a>" in panel.get(GROUPS).content.decode()


def test_both_pages_show_more_than_ten_rows(
    panel: Client, finance: Group, viewer: User, make_user: Callable[..., User]
) -> None:
    people = [viewer, *(make_user() for _ in range(11))]
    groups = [finance, *(Group.objects.create(name=f"g{number}") for number in range(11))]
    Membership.objects.bulk_create(
        Membership(user=user, group=group)
        for user, group in {(user, finance) for user in people} | {(viewer, g) for g in groups}
    )

    of_group = panel.get(f"{GROUPS}{finance.pk}/change/").context["people"]
    sections = panel.get(f"{USERS}{viewer.pk}/change/").context["sections"]
    (of_person,) = [each.content for each in sections if each.section.name == "groups"]
    assert (len(of_group.labelled_rows), len(of_person.labelled_rows)) == (12, 12)


def test_deleting_names_what_asks_for_the_group_and_is_for_owners_then(
    panel: Client, finance: Group, owner: User, browser_of: BrowserOf
) -> None:
    rule = AccessRule(name="Ledger", effect="role", role="viewer", group_ids=[str(finance.pk)])
    create_rule(actor=owner, rule=rule)
    url = f"{GROUPS}{finance.pk}/delete/"

    assert "Access rule “Ledger”" in panel.get(url).content.decode()
    refused = panel.post(url, {"post": "yes"}, follow=True)
    assert messages(refused) == ["Only owners delete a group that something depends on."]
    assert Group.objects.exists()
    browser_of(owner).post(url, {"post": "yes"})
    assert not Group.objects.exists()


def test_the_page_of_a_person_adds_and_removes_groups(
    panel: Client, finance: Group, viewer: User, owner: User
) -> None:
    end = timezone.localtime() + timedelta(days=2)
    fields = {"group": str(finance.pk), "until": f"{end:%Y-%m-%dT%H:%M}"}

    panel.post(f"{USERS}{viewer.pk}/join-group/", fields)
    row = Membership.objects.get()
    assert (row.user, row.until) == (viewer, end.replace(second=0, microsecond=0))
    page = panel.get(f"{USERS}{viewer.pk}/change/").content.decode()
    assert f'/leave-group/{finance.pk}/"' in page
    assert "Add to the group" not in page  # they are in all of them
    assert [user.pk for user in panel.get(f"{USERS}?group=finance").context["cl"].result_list] == [
        viewer.pk
    ]
    assert viewer not in panel.get(f"{USERS}?group=-").context["cl"].result_list
    panel.post(f"{USERS}{viewer.pk}/leave-group/{finance.pk}/")
    assert groups_of(viewer) == ()
    assert panel.post(f"{USERS}{owner.pk}/join-group/", fields).status_code == 403
    assert panel.post(f"{USERS}{viewer.pk}/join-group/", {"group": "x"}).status_code == 302
    assert not Membership.objects.exists()
