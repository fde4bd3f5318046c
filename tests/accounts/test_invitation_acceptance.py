"""Invitations become accounts: once, whole, and only while somebody vouches."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.errors import RecordInvalid, TokenExpired
from accounts.models import AuditEvent, Invitation, User
from accounts.services import invitations, users
from accounts.services.invitations import IssuedInvitation, accept_invitation, invite
from tests.accounts.inviting import EMAIL, PHRASE, events, states, token_of
from tests.accounts.race_processes import Race, run_race
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
MakeUser = Callable[..., User]
Browse = Callable[[User], Client]


def test_accepting_makes_the_account_and_uses_the_invitation_up(
    owner: User, invited: IssuedInvitation
) -> None:
    user = accept_invitation(
        token_of(invited), name="  Nina  New ", username="Nina", password=PHRASE
    )

    user.refresh_from_db()
    assert (user.email, user.name, user.username, user.role) == (
        EMAIL,
        "Nina New",
        "nina",
        "editor",
    )
    assert (user.is_verified, user.is_active, user.check_password(PHRASE)) == (True, True, True)
    row = Invitation.objects.get()
    assert (row.user, states()) == (user, ["used"])
    made, accepted = AuditEvent.objects.order_by("seq")[1:]
    assert (made.action, made.actor_id, made.target_id, made.detail) == (
        "account:user:create",
        owner.pk,
        user.pk,
        {"role": "editor", "source": "invitation"},
    )
    assert (accepted.action, accepted.actor_id, accepted.target_id, accepted.detail) == (
        "account:invitation:accept",
        user.pk,
        user.pk,
        {"invitation": str(row.pk), "role": "editor"},
    )


def test_an_invitation_works_with_registration_closed(
    settings: Settings, invited: IssuedInvitation
) -> None:
    settings.ALLOW_REGISTRATION = False
    settings.ALLOWED_EMAILS = ("elsewhere.example",)

    assert accept_invitation(token_of(invited), name="", password=PHRASE).email == EMAIL


def test_an_invitation_works_once(invited: IssuedInvitation) -> None:
    accept_invitation(token_of(invited), name="", password=PHRASE)
    before = events()

    with pytest.raises(invitations.InvitationUsed):
        accept_invitation(token_of(invited), name="Second", password=PHRASE)

    assert (User.objects.filter(email=EMAIL).get().name, events()) == ("", before)


def test_an_invitation_ends(invited: IssuedInvitation, at_time: Callable[[timedelta], Any]) -> None:
    at_time(timedelta(days=7))

    with pytest.raises(TokenExpired):
        accept_invitation(token_of(invited), name="", password=PHRASE)

    assert (states(), User.objects.filter(email=EMAIL).exists()) == (["expired"], False)


@pytest.mark.parametrize("token", ["", "nothing", "x" * 5000, "ü\u2028", "a/b"])
def test_an_unknown_token_is_invalid(invited: IssuedInvitation, token: str) -> None:
    with pytest.raises(invitations.InvitationInvalid):
        invitations.find_invitation(token)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"password": "short"}, "password"),
        ({"password": ""}, "password"),
        ({"password": None}, "password"),
        ({"username": "a b"}, "username"),
        ({"username": "vera"}, "username"),
    ],
)
def test_a_refused_try_leaves_the_invitation_usable(
    viewer: User, invited: IssuedInvitation, wrong: dict[str, Any], field: str
) -> None:
    before = events()

    with pytest.raises(RecordInvalid) as caught:
        accept_invitation(token_of(invited), **({"name": "", "password": PHRASE} | wrong))

    assert list(caught.value.errors) == [field]
    assert (states(), events()) == (["live"], before)
    assert accept_invitation(token_of(invited), name="", password=PHRASE).email == EMAIL


def test_an_address_that_has_an_account_by_now_is_refused(
    make_user: MakeUser, invited: IssuedInvitation
) -> None:
    person = make_user("viewer", EMAIL)
    before = events()

    with pytest.raises(RecordInvalid) as caught:
        accept_invitation(token_of(invited), name="", password=PHRASE)

    assert caught.value.errors == {"email": ["Another account has this address."]}
    assert (states(), events()) == (["live"], before)
    person.refresh_from_db()
    assert (person.role, person.check_password(PASSWORD)) == ("viewer", True)


def _demote(owner: User, inviter: User) -> None:
    users.change_role(actor=owner, user=inviter, role="editor")


def _disable(owner: User, inviter: User) -> None:
    users.disable_user(actor=owner, user=inviter)


def _delete(owner: User, inviter: User) -> None:
    users.delete_user(actor=owner, user=inviter)


@pytest.mark.parametrize("weaken", [_demote, _disable, _delete])
def test_an_invitation_is_worth_what_its_inviter_is_worth_now(
    owner: User, admin: User, weaken: Callable[[User, User], None]
) -> None:
    issued = invite(actor=admin, email=EMAIL)
    weaken(owner, admin)

    with pytest.raises(invitations.InvitationInvalid):
        accept_invitation(token_of(issued), name="", password=PHRASE)

    assert (states(), User.objects.filter(email=EMAIL).exists()) == (["live"], False)


def test_an_owner_who_became_admin_vouches_for_less(owner: User, make_user: MakeUser) -> None:
    other = make_user("owner", "other@example.com")
    high = invite(actor=other, email=EMAIL, role="admin")
    low = invite(actor=other, email="low@example.com", role="editor")
    users.change_role(actor=owner, user=other, role="admin")

    with pytest.raises(invitations.InvitationInvalid):
        accept_invitation(token_of(high), name="", password=PHRASE)

    assert accept_invitation(token_of(low), name="", password=PHRASE).role == "editor"


@pytest.mark.race
def test_of_many_acceptances_at_once_one_makes_the_account(
    any_database: str, tmp_path: Path
) -> None:
    race = Race(prepare="one_invitation", act="accept", count="count_accepted")

    found = run_race(any_database, str(tmp_path), race, 20)

    assert found == [(1, 1, 1, True)] * 20
