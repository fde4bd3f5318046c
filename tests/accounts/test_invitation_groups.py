"""Invitations with groups: named when they are issued, and decided again when they are accepted."""

import io
from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import Group, Invitation, Membership, User
from accounts.services import users
from accounts.services.bulk.invitations import send_again
from accounts.services.groups.changes import create_group
from accounts.services.groups.members import MAX_GROUPS_OF_USER
from accounts.services.groups.reading import groups_of
from accounts.services.invitations import accept_as, accept_invitation, invite
from accounts.services.verification import mark_email_verified
from audit.models import AuditEvent
from core.errors import RecordInvalid
from tests.accounts.invitation_helpers import EMAIL, PHRASE, path_of, token_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def keys() -> list[str]:
    """The ids of the groups finance and lab."""
    create_group(actor=SYSTEM, name="finance", label="Finance team")
    create_group(actor=SYSTEM, name="lab")
    return [str(key) for key in Group.objects.order_by("name").values_list("pk", flat=True)]


def accept(token: str) -> User:
    return accept_invitation(token, name="Nina", password=PHRASE)


def test_groups_are_joined_by_accepting(admin: User, keys: list[str], stranger: Client) -> None:
    issued = invite(actor=admin, email=EMAIL, group_ids=keys)
    page = stranger.get(path_of(issued)).content.decode()

    user = accept(token_of(issued))

    assert "<strong>Finance team</strong>, <strong>lab</strong>" in page
    assert groups_of(user) == ("finance", "lab")
    assert {row.added_by_id for row in Membership.objects.all()} == {admin.pk}
    rows = AuditEvent.objects.filter(action="account:membership:add")
    assert [(row.actor_id, row.target_id) for row in rows] == [(admin.pk, user.pk)] * 2
    accepted = AuditEvent.objects.get(action="account:invitation:accept")
    assert accepted.detail["groups"] == ["finance", "lab"]


def test_what_holds_when_it_is_accepted_counts(
    owner: User, admin: User, keys: list[str], make_user: Callable[..., User]
) -> None:
    gone = invite(actor=admin, email=EMAIL, group_ids=keys)
    Group.objects.filter(name="lab").delete()
    assert groups_of(accept(token_of(gone))) == ("finance",)

    # The account has become as high as the inviter: who may not manage it gives it no group.
    risen = make_user("viewer", "risen@example.com", is_verified=False)
    User.objects.filter(pk=risen.pk).update(email="other@example.com")
    issued = invite(actor=admin, email="risen@example.com", group_ids=keys[:1])
    User.objects.filter(pk=risen.pk).update(email="risen@example.com")
    risen.refresh_from_db()
    users.change_role(actor=owner, user=risen, role="admin")
    risen.refresh_from_db()
    accept_as(token_of(issued), risen)
    assert groups_of(risen) == ()
    assert Invitation.objects.get(email=risen.email).used_at is not None


def test_verifying_the_address_joins_too_and_an_existing_account_keeps_its_groups(
    admin: User, keys: list[str], make_user: Callable[..., User]
) -> None:
    invite(actor=admin, email=EMAIL, group_ids=keys[:1])
    user = make_user("viewer", EMAIL, is_verified=False)

    mark_email_verified(user)

    assert groups_of(user) == ("finance",)


def test_sending_again_keeps_the_groups_that_there_are(admin: User, keys: list[str]) -> None:
    invite(actor=admin, email=EMAIL, group_ids=keys)
    Group.objects.filter(name="finance").delete()

    (line,) = send_again(Invitation.objects.all(), actor=admin)

    assert line.issued is not None
    assert line.issued.invitation.group_ids == keys[1:]


def test_unknown_and_too_many_groups_are_refused(admin: User, keys: list[str]) -> None:
    for number in range(MAX_GROUPS_OF_USER):
        Group.objects.create(name=f"g{number}")
    every = [str(key) for key in Group.objects.values_list("pk", flat=True)]
    for wrong in (every, ["0198c0de-0000-7000-8000-000000000001"]):
        with pytest.raises(RecordInvalid) as error:
            invite(actor=admin, email=EMAIL, group_ids=wrong)
        assert [*error.value.errors] == ["groups"]
    assert not Invitation.objects.exists()


def test_the_command_names_groups(keys: list[str]) -> None:
    out, err = io.StringIO(), io.StringIO()
    groups = ["--group", "finance", "--group", "LAB"]
    call_command("inviteuser", EMAIL, *groups, stdout=out, stderr=err)
    call_command("inviteuser", "a@example.com", "b@example.com", *groups, stdout=out, stderr=err)

    assert f"For {EMAIL} (viewer; finance, lab);" in err.getvalue()
    assert [row.group_ids for row in Invitation.objects.all()] == [keys] * 3
    with pytest.raises(CommandError) as error:
        call_command("inviteuser", "c@example.com", "--group", "finanse", stdout=out, stderr=err)
    assert "There is no group 'finanse'. Did you mean “finance”?" in str(error.value)


def test_the_api_takes_names_or_ids_and_shows_names(
    owner: User, keys: list[str], browser_of: Callable[[User], Client]
) -> None:
    def post(path: str, **body: object) -> object:
        return browser.post(f"/api/v1/{path}", body, content_type="application/json")

    browser = browser_of(owner)
    made = post("invitations", email=EMAIL, groups=["finance", keys[1]])
    wrong = post("invitations", email="bad", groups=["finanse"])
    many = post("invitations/batch", people=[{"email": "a@example.com"}], groups=["lab"])

    assert (made.status_code, made.json()["groups"]) == (201, ["finance", "lab"])
    assert (wrong.status_code, sorted(wrong.json()["errors"])) == (402, ["email", "groups"])
    assert many.json()["invited"] == 1
    listed = browser.get("/api/v1/invitations").json()["results"]
    assert [each["groups"] for each in listed] == [["lab"], ["finance", "lab"]]
