"""/Groups: members of the source `scim`, names, deletion, and roles that follow from groups."""

from typing import Any

import pytest

from accounts.models import Group, Membership, User
from accounts.services.groups.changes import change_group
from accounts.services.groups.members import add_member
from accounts.services.groups.reading import groups_of
from accounts.services.groups.uses import GroupUse
from audit.models import AuditEvent
from core.errors import Forbidden
from scim.models import ScimGroup
from scim.values import group_name
from tests.scim.client import (
    ScimClient,
    client_of,
    group_of,
    patch_of,
    refusal,
    user_of,
)

pytestmark = pytest.mark.django_db


def made(scim: ScimClient, name: str, *members: User, **more: Any) -> dict[str, Any]:
    answer = scim.post("/Groups", group_of(name, *(str(user.pk) for user in members), **more))
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


def members_of(scim: ScimClient, group: dict[str, Any]) -> set[str]:
    found = scim.get(f"/Groups/{group['id']}").json()
    return {member["value"] for member in found.get("members", [])}


def test_a_group_is_created_with_its_members(scim: ScimClient, admin: User, viewer: User) -> None:
    answer = scim.post("/Groups", group_of("Finance & Größe", str(viewer.pk), externalId="g-1"))
    group = Group.objects.get()
    row = Membership.objects.get()

    assert answer.status_code == 201  # 3.3
    location = f"http://localhost:8000/scim/v2/Groups/{group.pk}"
    assert answer["Location"] == location
    assert answer.json() == {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "id": str(group.pk),
        "externalId": "g-1",
        "displayName": "Finance & Größe",
        "members": [
            {
                "value": str(viewer.pk),
                "$ref": f"http://localhost:8000/scim/v2/Users/{viewer.pk}",
                "type": "User",
            }
        ],
        "meta": {
            "resourceType": "Group",
            "created": group.created_at.isoformat(),
            "location": location,
            "version": answer["ETag"],
        },
    }
    assert (group.name, group.label) == ("finance-grosse", "Finance & Größe")
    assert (row.source, row.added_by_id) == ("scim", admin.pk)
    assert groups_of(viewer) == ("finance-grosse",)
    shown = scim.get(f"/Users/{viewer.pk}").json()["groups"]
    assert shown == [{"value": str(group.pk), "$ref": location, "display": "Finance & Größe",
                      "type": "direct"}]  # fmt: skip
    event = AuditEvent.objects.get(action="account:membership:add")
    assert (event.actor_id, event.target_id, event.detail["source"]) == (
        admin.pk, viewer.pk, "scim",
    )  # fmt: skip


def test_names_are_made_for_rules_and_headers() -> None:
    taken = frozenset({"owner", "editor", "lab", "lab-2"})

    assert group_name("Project X", taken) == "project-x"
    assert group_name("Lab", taken) == "lab-3"
    assert group_name("Editor", taken) == "editor-2"
    assert group_name("研究", taken) == "group"
    assert group_name("a" * 60, taken) == "a" * 40


def test_display_names_are_unique_and_follow_while_the_name_stays(scim: ScimClient) -> None:
    lab = made(scim, "Lab")
    other = made(scim, "Other")

    assert refusal(scim.post("/Groups", group_of("LAB"))) == (409, "uniqueness")
    rename = {"op": "replace", "path": "displayName", "value": "lab"}
    assert refusal(scim.patch(f"/Groups/{other['id']}", rename)) == (409, "uniqueness")
    renamed = {"op": "replace", "value": {"id": lab["id"], "displayName": "The new lab"}}
    assert scim.patch(f"/Groups/{lab['id']}", renamed).status_code == 204

    group = Group.objects.get(pk=lab["id"])
    assert (group.name, group.label) == ("lab", "The new lab")
    for name in ("", "x" * 81, "owner\0"):
        assert refusal(scim.post("/Groups", group_of(name))) == (400, "invalidValue")


def test_only_what_scim_gave_is_shown_and_taken(
    scim: ScimClient, owner: User, viewer: User, editor: User
) -> None:
    lab = made(scim, "Lab", viewer, editor)
    group = Group.objects.get()
    add_member(actor=owner, user=viewer, group=group)
    path = f"/Groups/{lab['id']}"

    answer = scim.patch(path, {"op": "remove", "path": f'members[value eq "{viewer.pk}"]'})

    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["ETag"] == scim.get(path)["ETag"]
    assert members_of(scim, lab) == {str(editor.pk)}
    assert groups_of(viewer) == ("lab",)
    assert scim.put(path, group_of("Lab")).status_code == 200
    assert list(Membership.objects.values_list("user", "source")) == [(viewer.pk, "manual")]
    assert AuditEvent.objects.filter(action="account:membership:remove").count() == 2


def test_members_that_are_no_users_are_refused(scim: ScimClient, viewer: User) -> None:
    lab = made(scim, "Lab")
    path = f"/Groups/{lab['id']}"

    for value in ([{"value": str(viewer.pk)}, {"value": "7"}], [{"value": lab["id"]}],
                  [{"value": str(viewer.pk), "type": "Group"}], [{"type": "User"}]):  # fmt: skip
        answer = scim.patch(path, {"op": "add", "path": "members", "value": value})
        assert refusal(answer) == (400, "invalidValue")
    assert Membership.objects.count() == 0


def test_nobody_of_a_higher_rank_is_put_in_or_taken_out(
    scim: ScimClient, owner: User, admin: User, viewer: User
) -> None:
    lab = made(scim, "Lab")
    path = f"/Groups/{lab['id']}"
    for user in (owner, admin):
        both = [{"value": str(viewer.pk)}, {"value": str(user.pk)}]
        answer = scim.patch(path, {"op": "add", "path": "members", "value": both})
        assert refusal(answer) == (403, "")
    assert Membership.objects.count() == 0

    Membership.objects.create(user=owner, group=Group.objects.get(), source="scim")
    for client in (scim, client_of(owner)):
        assert refusal(client.put(path, group_of("Lab"))) == (403, "")
        assert refusal(client.delete(path)) == (403, "")
    assert Membership.objects.count() == 1


def test_a_group_may_be_called_like_an_id(scim: ScimClient) -> None:
    """Its name, which stands in paths of the API, is none."""
    name = "84BD848E-c7d5-49b1-836e-0192577ed370"
    answer = scim.post("/Groups", group_of(name))

    assert (answer.status_code, answer.json()["displayName"]) == (201, name)
    assert Group.objects.get().name == f"{name.lower()}-2"


def test_deleting_removes_the_group_only_if_it_is_scims_own_and_free(
    scim: ScimClient, owner: User, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, used, shared = (made(scim, name, viewer) for name in ("Free", "Used", "Shared"))
    by_hand = Group.objects.create(name="by-hand")
    add_member(actor=owner, user=viewer, group=Group.objects.get(name="shared"))
    monkeypatch.setattr(
        "scim.services.groups.uses_of",
        lambda group: [GroupUse("A rule")] if group.name == "used" else [],
    )

    for key in (free["id"], used["id"], shared["id"], by_hand.pk):
        assert scim.delete(f"/Groups/{key}").status_code == 204
        assert refusal(scim.get(f"/Groups/{key}")) == (404, "")
        assert refusal(scim.patch(f"/Groups/{key}", {"op": "remove", "path": "members"})) == (
            404,
            "",
        )

    assert set(Group.objects.values_list("name", flat=True)) == {"used", "shared", "by-hand"}
    assert list(Membership.objects.values_list("group__name", "source")) == [("shared", "manual")]
    assert scim.get("/Groups").json()["totalResults"] == 0
    again = made(scim, "Used", viewer)
    assert again["id"] == used["id"]
    assert ScimGroup.objects.get(pk=used["id"]).released_at is None


def test_members_are_left_out_on_request_and_versions_guard(
    scim: ScimClient, viewer: User, editor: User, django_assert_num_queries: Any
) -> None:
    lab = made(scim, "Lab", viewer)
    path = f"/Groups/{lab['id']}"
    add = patch_of({"op": "add", "path": "members", "value": [{"value": str(editor.pk)}]})

    listed = scim.get("/Groups", excludedAttributes="members").json()["Resources"][0]
    some = scim.get("/Groups", attributes="members.value,displayName").json()["Resources"][0]

    assert "members" not in listed
    assert some == {
        "schemas": lab["schemas"],
        "id": lab["id"],
        "displayName": "Lab",
        "members": [{"value": str(viewer.pk)}],
    }
    assert scim.call("PATCH", path, add, **{"if-match": 'W/"old"'}).status_code == 412
    assert members_of(scim, lab) == {str(viewer.pk)}
    answer = scim.call(
        "PATCH", f"{path}?attributes=members", add, **{"if-match": lab["meta"]["version"]}
    )
    assert answer.status_code == 200  # 3.5.2: with `attributes` the answer has a body
    assert len(answer.json()["members"]) == 2


MAPPING = (("Team leads", "admin"), ("Writers", "editor"), ("everybody", "viewer"))


@pytest.fixture
def mapped(settings: Any) -> None:
    from accounts.roles import Role

    settings.SCIM_ROLES = tuple((group, Role(role)) for group, role in MAPPING)
    settings.SCIM_DEFAULT_ROLE = "none"


@pytest.mark.usefixtures("mapped")
def test_roles_follow_from_groups_below_the_rank_of_the_key(scim: ScimClient, owner: User) -> None:
    anna = scim.post("/Users", user_of("anna@example.com")).json()
    user = User.objects.get(pk=anna["id"])

    def role() -> str:
        return str(User.objects.get(pk=user.pk).role)

    assert role() == "none"
    everybody = made(scim, "Everybody", user)
    assert role() == "viewer"
    writers = made(scim, "writers", user)
    assert role() == "editor"
    leads = made(scim, "Team leads", user)
    assert role() == "editor"  # the key of an admin gives editor at most
    scim.delete(f"/Groups/{writers['id']}")
    scim.delete(f"/Groups/{leads['id']}")
    assert role() == "viewer"
    made(client_of(owner), "TEAM LEADS", user)
    assert role() == "admin"
    assert refusal(scim.put(f"/Groups/{everybody['id']}", group_of("Everybody"))) == (403, "")
    row = AuditEvent.objects.filter(action="account:role:change").latest("seq")
    assert (row.detail["after"], row.detail["reason"]) == ("admin", "scim")


@pytest.mark.usefixtures("mapped")
def test_the_key_of_an_owner_completes_nothing_that_an_administrator_began(
    scim: ScimClient, owner: User, admin: User, editor: User, viewer: User
) -> None:
    """An administrator cannot make administrators, by members or by the name of a group."""
    of_owner = client_of(owner)
    leads = made(scim, "Team leads", viewer)
    assert User.objects.get(pk=viewer.pk).role == "editor"

    change = {"op": "replace", "path": "displayName", "value": "Someone"}
    assert of_owner.patch(f"/Users/{viewer.pk}", change).status_code == 200
    everybody = made(of_owner, "everybody", viewer)

    assert User.objects.get(pk=viewer.pk).role == "editor"
    # By its own decision it does.
    add = {"op": "add", "path": "members", "value": [{"value": str(editor.pk)}]}
    assert of_owner.patch(f"/Groups/{leads['id']}", add).status_code == 204
    assert User.objects.get(pk=editor.pk).role == "admin"

    group = Group.objects.get(pk=everybody["id"])
    for row, label in ((group, "TEAM LEADS"), (Group.objects.get(pk=leads["id"]), "Others")):
        with pytest.raises(Forbidden):
            change_group(actor=admin, group=row, changes={"label": label})
    rename = {"op": "replace", "path": "displayName", "value": "team leads "}
    assert scim.patch(f"/Groups/{everybody['id']}", rename).status_code == 409
    change_group(actor=admin, group=group, changes={"label": "All of us"})
    change_group(actor=owner, group=Group.objects.get(pk=leads["id"]), changes={"label": "Others"})


@pytest.mark.usefixtures("mapped")
def test_a_role_that_an_administrator_keeps_stays(scim: ScimClient, make_user: Any) -> None:
    kept = make_user("editor", role_locked=True)

    made(scim, "Everybody", kept)

    assert User.objects.get(pk=kept.pk).role == "editor"


def test_without_a_mapping_no_role_changes(scim: ScimClient, editor: User) -> None:
    made(scim, "Everybody", editor)

    assert User.objects.get(pk=editor.pk).role == "editor"
    assert AuditEvent.objects.filter(action="account:role:change").count() == 0


def test_one_request_changes_a_bounded_number_of_members(
    scim: ScimClient, monkeypatch: pytest.MonkeyPatch, make_user: Any
) -> None:
    monkeypatch.setattr("scim.services.groups.MAX_CHANGES", 1)
    people = [str(make_user().pk) for _ in range(2)]

    assert refusal(scim.post("/Groups", group_of("Lab", *people))) == (413, "")
    assert Group.objects.count() == 0
