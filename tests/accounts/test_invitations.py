"""Invitations: issued, listed, withdrawn, purged."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.actors import SYSTEM
from accounts.models import Invitation, User
from accounts.roles import Role
from accounts.services import invitations, users
from accounts.services.invitations import IssuedInvitation, accept_invitation, invite
from accounts.services.privacy import export_own_data
from audit.models import AuditEvent
from config import worker
from core.errors import Forbidden, RecordInvalid, TokenInvalid
from mail.models import OutboxMail
from mail.outbox import deliver_due
from tests.accounts.invitation_helpers import (
    EMAIL,
    GIVES,
    PHRASE,
    events,
    path_of,
    states,
    token_of,
)
from tests.conftest import path_in, text_of

pytestmark = pytest.mark.django_db
MakeUser = Callable[..., User]
Browse = Callable[[User], Client]


# Inviting


def test_an_invitation_is_a_row_a_mail_and_an_audit_row(
    owner: User, mails: Callable[[], list[OutboxMail]]
) -> None:
    issued = invite(actor=owner, email=" New@Example.com", role="editor", name=" Nina  New ")

    row = Invitation.objects.get()
    assert issued.invitation == row
    assert (row.email, row.name, row.role) == (EMAIL, "Nina New", "editor")
    assert (row.invited_by, row.by_system, row.user) == (owner, False, None)
    assert row.expires_at - row.created_at == timedelta(days=7)
    assert issued.expires_at == row.expires_at
    (mail,) = mails()
    assert (mail.kind, mail.recipient, mail.user) == ("invitation", EMAIL, None)
    assert path_in(mail) == path_of(issued)
    assert text_of(mail).startswith("Olga Owner invites you to Gatehouse.")
    assert mail.expires_at == row.expires_at
    event = AuditEvent.objects.get()
    assert (event.action, event.actor_id, event.target_id, event.detail) == (
        "account:invitation:issue",
        owner.pk,
        None,
        {"invitation": str(row.pk), "role": "editor"},
    )


@pytest.mark.parametrize("actor_role", [role.value for role in Role])
@pytest.mark.parametrize("role", [role.value for role in Role])
def test_only_lower_roles_can_be_given_except_by_owners(
    make_user: MakeUser, actor_role: str, role: str
) -> None:
    actor = make_user(actor_role)

    if role in GIVES[actor_role]:
        assert invite(actor=actor, email=EMAIL, role=role).invitation.role == role
        return
    with pytest.raises(Forbidden):
        invite(actor=actor, email=EMAIL, role=role)
    assert (Invitation.objects.count(), OutboxMail.objects.count(), events()) == (0, 0, [])


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "owner@example.com"}, "email"),
        ({"email": "OWNER@example.com"}, "email"),
        ({"role": "emperor"}, "role"),
        ({"role": ""}, "role"),
        ({"lifetime": timedelta(seconds=59)}, "lifetime"),
        ({"lifetime": timedelta(days=30, seconds=1)}, "lifetime"),
        ({"lifetime": timedelta(days=-1)}, "lifetime"),
    ],
)
def test_each_invalid_field_is_named_and_nothing_changes(
    owner: User, wrong: dict[str, Any], field: str
) -> None:
    invite(actor=owner, email=EMAIL)
    before = events()

    with pytest.raises(RecordInvalid) as caught:
        invite(**({"actor": owner, "email": EMAIL} | wrong))

    assert list(caught.value.errors) == [field]
    assert (states(), events(), OutboxMail.objects.count()) == (["live"], before, 1)


@pytest.mark.parametrize("lifetime", [timedelta(minutes=1), timedelta(days=30)])
def test_the_minimum_and_maximum_lifetime_are_enforced(owner: User, lifetime: timedelta) -> None:
    row = invite(actor=owner, email=EMAIL, lifetime=lifetime).invitation

    assert row.expires_at - row.created_at == lifetime


def test_without_the_right_to_invite_no_account_is_revealed(viewer: User, owner: User) -> None:
    with pytest.raises(Forbidden):
        invite(actor=viewer, email=owner.email)


def test_a_newer_invitation_ends_the_older_one_of_that_address_alone(owner: User) -> None:
    first = invite(actor=owner, email=EMAIL)
    other = invite(actor=owner, email="other@example.com")

    second = invite(actor=owner, email=EMAIL, role="editor")

    assert states() == ["replaced", "live", "live"]
    with pytest.raises(TokenInvalid):
        invitations.find_invitation(token_of(first))
    assert invitations.find_invitation(token_of(second)).role == "editor"
    assert invitations.find_invitation(token_of(other)).email == "other@example.com"


def test_an_invitation_to_a_higher_role_is_not_replaced(owner: User, admin: User) -> None:
    issued = invite(actor=owner, email=EMAIL, role="admin")

    with pytest.raises(Forbidden):
        invite(actor=admin, email=EMAIL, role="viewer")

    assert states() == ["live"]
    assert invitations.find_invitation(token_of(issued)).role == "admin"
    assert events() == [("account:invitation:issue", "success")]


def test_the_result_says_whether_it_was_mailed(owner: User, settings: Settings) -> None:
    settings.MAIL_TRANSPORT = "tests.accounts.invitation_helpers.some_transport"
    assert invite(actor=owner, email=EMAIL).mailed is True

    settings.MAIL_TRANSPORT = "tests.accounts.invitation_helpers.no_transport"

    assert invite(actor=owner, email=EMAIL).mailed is False
    deliver_due()
    assert {mail.status for mail in OutboxMail.objects.all()} == {"waiting"}


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_mail_is_complete_in_each_language(
    owner: User, settings: Settings, mails: Callable[[], list[OutboxMail]], language: str
) -> None:
    settings.LANGUAGE_CODE = language

    issued = invite(actor=owner, email=EMAIL)

    (mail,) = mails()
    assert text_of(mail).count(issued.url) == 1
    assert "{{" not in text_of(mail)
    assert 10 < len(mail.subject) < 60


def test_the_token_is_only_in_the_response(owner: User, caplog: pytest.LogCaptureFixture) -> None:
    issued = invite(actor=owner, email=EMAIL)
    token = token_of(issued)
    accept_invitation(token, name="", password=PHRASE)

    rows = [str(row) for row in Invitation.objects.values()]
    audited = [json.dumps(event.detail) for event in AuditEvent.objects.all()]
    sealed = [str(mail) for mail in OutboxMail.objects.values()]
    assert [text for text in (*rows, *sealed, caplog.text, repr(issued)) if token in text] == []
    assert [text for text in audited if token in text or EMAIL in text or PHRASE in text] == []


# Seeing and withdrawing


def test_open_invitations_are_live_manageable_and_newest_first(
    owner: User, admin: User, viewer: User, at_time: Callable[[timedelta], Any]
) -> None:
    hour = timedelta(hours=1)
    invite(actor=owner, email="late@example.com", lifetime=hour)
    high = invite(actor=owner, email="high@example.com", role="admin").invitation
    low = invite(actor=admin, email="low@example.com").invitation
    used = invite(actor=admin, email="used@example.com")
    accept_invitation(token_of(used), name="", password=PHRASE)
    gone = invite(actor=admin, email="gone@example.com").invitation
    invitations.withdraw(actor=admin, invitation=gone)
    at_time(2 * hour)

    assert list(invitations.open_invitations(owner)) == [low, high]
    assert list(invitations.open_invitations(SYSTEM)) == [low, high]
    assert list(invitations.open_invitations(admin)) == [low]
    assert list(invitations.open_invitations(viewer)) == []


def test_a_withdrawn_invitation_creates_no_account(admin: User) -> None:
    issued = invite(actor=admin, email=EMAIL)

    invitations.withdraw(actor=admin, invitation=issued.invitation)

    with pytest.raises(TokenInvalid):
        accept_invitation(token_of(issued), name="", password=PHRASE)
    assert not User.objects.filter(email=EMAIL).exists()
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.actor_id, event.detail) == (
        "account:invitation:withdraw",
        admin.pk,
        {"invitation": str(issued.invitation.pk), "role": "viewer"},
    )
    with pytest.raises(RecordInvalid):
        invitations.withdraw(actor=admin, invitation=issued.invitation)
    assert AuditEvent.objects.latest("seq") == event


@pytest.mark.parametrize("actor_role", [role.value for role in Role])
@pytest.mark.parametrize("role", [role.value for role in Role])
def test_an_administrator_who_may_give_the_role_may_withdraw(
    make_user: MakeUser, actor_role: str, role: str
) -> None:
    row = invite(actor=SYSTEM, email=EMAIL, role=role).invitation
    actor = make_user(actor_role)

    if role in GIVES[actor_role]:
        invitations.withdraw(actor=actor, invitation=row)
        assert states() == ["replaced"]
        return
    with pytest.raises(Forbidden):
        invitations.withdraw(actor=actor, invitation=row)
    assert (states(), events()) == (["live"], [("account:invitation:issue", "success")])


# Own data, clearing away


def test_deleting_the_account_deletes_its_invitation(
    owner: User, invited: IssuedInvitation
) -> None:
    user = accept_invitation(token_of(invited), name="", password=PHRASE)
    (exported,) = export_own_data(user)["invitations"]
    assert (exported["role"], sorted(exported)) == ("editor", ["accepted_at", "invited_at", "role"])

    users.delete_user(actor=owner, user=user)

    assert not Invitation.objects.exists()
    with pytest.raises(invitations.InvitationInvalid):
        invitations.find_invitation(token_of(invited))


def test_the_worker_purges_old_invitations(
    owner: User, at_time: Callable[[timedelta], Any]
) -> None:
    invite(actor=owner, email="old@example.com", lifetime=timedelta(days=1))
    kept = invite(actor=owner, email=EMAIL, lifetime=timedelta(days=7)).invitation
    at_time(timedelta(days=32))

    worker.purge()

    assert list(Invitation.objects.all()) == [kept]
