"""Invitations become accounts: once, completely, and only while an inviter is entitled."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import transaction
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.actors import SYSTEM
from accounts.models import AccountToken, Invitation, User
from accounts.services import invitations, users
from accounts.services.accept_invitation import accepted_by_address, live_invitation
from accounts.services.email_tokens import issue_token
from accounts.services.invitations import IssuedInvitation, accept_invitation, invite
from accounts.services.passwords import reset_password, start_reset
from accounts.services.signup import create_unverified_user, handle_sign_up_requests
from accounts.services.verification import confirm_address, mark_verified
from api.external_jwt.users import find_or_create_user
from api.external_jwt.verify import ExternalClaims
from audit.models import AuditEvent
from core.errors import RecordInvalid, TokenExpired
from federation.services.identities import resolve_user
from magiclinks.services import handle_link_requests
from mail.models import OutboxMail
from tests.accounts.invitation_helpers import EMAIL, PHRASE, events, states, token_of
from tests.accounts.race_processes import Race, run_race
from tests.conftest import PASSWORD, path_in
from tests.federation.test_identities import MAPPED, SOURCE
from tests.federation.test_identities import NINA as ARRIVAL

pytestmark = pytest.mark.django_db
MakeUser = Callable[..., User]
Browse = Callable[[User], Client]
NINA = replace(ARRIVAL, email=EMAIL)


def test_accepting_creates_the_account_and_consumes_the_invitation(
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
def test_a_rejected_attempt_leaves_the_invitation_usable(
    viewer: User, invited: IssuedInvitation, wrong: dict[str, Any], field: str
) -> None:
    before = events()

    with pytest.raises(RecordInvalid) as caught:
        accept_invitation(token_of(invited), **({"name": "", "password": PHRASE} | wrong))

    assert list(caught.value.errors) == [field]
    assert (states(), events()) == (["live"], before)
    assert accept_invitation(token_of(invited), name="", password=PHRASE).email == EMAIL


def test_an_invitation_is_refused_if_the_address_has_an_account(
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
def test_an_invitation_depends_on_the_current_rights_of_its_inviter(
    owner: User, admin: User, weaken: Callable[[User, User], None]
) -> None:
    issued = invite(actor=admin, email=EMAIL)
    weaken(owner, admin)

    with pytest.raises(invitations.InvitationInvalid):
        accept_invitation(token_of(issued), name="", password=PHRASE)

    assert (states(), User.objects.filter(email=EMAIL).exists()) == (["live"], False)


def test_an_owner_demoted_to_admin_cannot_give_admin_any_more(
    owner: User, make_user: MakeUser
) -> None:
    other = make_user("owner", "other@example.com")
    high = invite(actor=other, email=EMAIL, role="admin")
    low = invite(actor=other, email="low@example.com", role="editor")
    users.change_role(actor=owner, user=other, role="admin")

    with pytest.raises(invitations.InvitationInvalid):
        accept_invitation(token_of(high), name="", password=PHRASE)

    assert accept_invitation(token_of(low), name="", password=PHRASE).role == "editor"


# By another method than the link


def _by_magic_link(stranger: Client) -> None:
    stranger.post("/magic-link", {"email": EMAIL})
    handle_link_requests()
    path = path_in(OutboxMail.objects.filter(kind="magic-link").latest("id"))
    assert stranger.get(path)["Location"] == "/account/"


def _by_sign_up(stranger: Client) -> None:
    stranger.post("/sign-up", {"email": EMAIL, "name": "Nina", "password": PHRASE})
    handle_sign_up_requests()
    path = path_in(OutboxMail.objects.filter(kind="verify-email").latest("id"))
    assert stranger.post(path)["Location"] == "/sign-in?notice=email-verified"


def _by_reset(stranger: Client) -> None:
    user = create_unverified_user(EMAIL)
    assert user is not None
    token = start_reset(actor=SYSTEM, user=user).rpartition("/")[2]
    reset_password(token, PHRASE)


def _by_provider(_stranger: Client) -> None:
    resolve_user(SOURCE, NINA)


def _by_provider_with_a_lower_mapping(_stranger: Client) -> None:
    for _turn in range(2):
        resolve_user(MAPPED, NINA)


def _by_provider_with_registration_closed(_stranger: Client) -> None:
    resolve_user(replace(SOURCE, allows_registration=False), NINA)


def _by_provider_to_an_unused_account(_stranger: Client) -> None:
    create_unverified_user(EMAIL)
    for _turn in range(2):
        resolve_user(MAPPED, NINA)


def claims_of(email: str) -> ExternalClaims:
    now = datetime.now(UTC)
    return ExternalClaims(
        issuer="https://id.example.com", subject="nina", email=email, email_verified=True,
        name="Nina", issued_at=now - timedelta(seconds=20), expires_at=now + timedelta(minutes=9),
        claims={},
    )  # fmt: skip


def _by_external_token(_stranger: Client) -> None:
    django_settings.AUTH_JWT_REGISTRATION = True
    find_or_create_user(claims_of(EMAIL))


def _by_change_of_address(_stranger: Client) -> None:
    user = User(email="old@example.com", role="viewer")
    user.save(force_insert=True)
    token = issue_token(
        user, AccountToken.Purpose.CHANGE_EMAIL, lifetime=timedelta(hours=1), email=EMAIL
    )
    confirm_address(token.token, is_asking_browser=True)


def _by_a_new_address_of_the_provider(_stranger: Client) -> None:
    resolve_user(SOURCE, replace(NINA, email="old@example.com"))
    resolve_user(SOURCE, NINA)


def _by_the_owners_word(_stranger: Client) -> None:
    user = create_unverified_user(EMAIL)
    assert user is not None
    mark_verified(actor=SYSTEM, user=user)


@pytest.mark.parametrize(
    "verify",
    [
        _by_magic_link,
        _by_sign_up,
        _by_reset,
        _by_provider,
        _by_provider_with_a_lower_mapping,
        _by_provider_with_registration_closed,
        _by_provider_to_an_unused_account,
        _by_external_token,
        _by_change_of_address,
        _by_a_new_address_of_the_provider,
        _by_the_owners_word,
    ],
)
def test_verifying_the_invited_address_accepts_the_invitation(
    stranger: Client,
    owner: User,
    invited: IssuedInvitation,
    settings: Settings,
    verify: Callable[[Client], None],
) -> None:
    settings.AUTH_JWT_REGISTRATION = False

    verify(stranger)

    user = User.objects.get(email=EMAIL)
    assert (user.role, user.is_verified, states()) == ("editor", True, ["used"])
    assert Invitation.objects.get().user == user
    (accepted,) = AuditEvent.objects.filter(action="account:invitation:accept")
    assert (accepted.actor_id, accepted.target_id, accepted.detail) == (
        user.pk,
        user.pk,
        {"invitation": str(Invitation.objects.get().pk), "role": "editor"},
    )
    with pytest.raises(invitations.InvitationUsed):
        accept_invitation(token_of(invited), name="", password=PHRASE)


@pytest.mark.parametrize("verify", [_by_magic_link, _by_provider_with_registration_closed])
def test_invited_users_need_no_open_registration(
    stranger: Client,
    invited: IssuedInvitation,
    settings: Settings,
    verify: Callable[[Client], None],
) -> None:
    settings.ALLOW_REGISTRATION = False
    settings.ALLOWED_EMAILS = ("elsewhere.example",)

    verify(stranger)

    assert (User.objects.get(email=EMAIL).role, states()) == ("editor", ["used"])


@pytest.mark.parametrize("verify", [_by_magic_link, _by_sign_up, _by_provider])
def test_an_invitation_to_a_lower_role_than_the_default_gives_that_role(
    stranger: Client, owner: User, settings: Settings, verify: Callable[[Client], None]
) -> None:
    settings.DEFAULT_ROLE = "editor"
    invite(actor=owner, email=EMAIL, role="viewer")

    verify(stranger)

    assert User.objects.get(email=EMAIL).role == "viewer"


def test_a_role_mapping_can_give_more_than_the_invitation(invited: IssuedInvitation) -> None:
    chief = replace(NINA, claims={"id": {"groups": ["chiefs"]}})

    for _turn in range(2):
        user = resolve_user(MAPPED, chief)

    user.refresh_from_db()
    assert (user.role, user.role_locked, states()) == ("admin", False, ["used"])


def test_an_address_that_the_provider_has_not_verified_accepts_nothing(
    invited: IssuedInvitation,
) -> None:
    user = resolve_user(SOURCE, replace(NINA, email_verified=False))

    user.refresh_from_db()
    assert (user.role, user.is_verified, states()) == ("none", False, ["live"])


def test_an_existing_account_is_never_demoted(owner: User, make_user: MakeUser) -> None:
    invite(actor=owner, email=EMAIL, role="viewer")
    chief = make_user("owner", "chief@example.com")
    token = issue_token(
        chief, AccountToken.Purpose.CHANGE_EMAIL, lifetime=timedelta(hours=1), email=EMAIL
    )

    confirm_address(token.token, is_asking_browser=True)

    chief.refresh_from_db()
    assert (chief.email, chief.role, states()) == (EMAIL, "owner", ["used"])


@pytest.mark.parametrize("weaken", [_demote, _disable, _delete])
def test_an_invitation_without_an_entitled_inviter_is_not_accepted(
    owner: User, admin: User, stranger: Client, weaken: Callable[[User, User], None]
) -> None:
    invite(actor=admin, email=EMAIL, role="editor")
    weaken(owner, admin)

    _by_magic_link(stranger)

    assert (User.objects.get(email=EMAIL).role, states()) == ("viewer", ["live"])


def test_an_administrator_without_the_rank_only_verifies_the_address(
    owner: User, admin: User
) -> None:
    invite(actor=owner, email=EMAIL, role="admin")
    user = create_unverified_user(EMAIL)
    assert user is not None

    mark_verified(actor=admin, user=user)

    assert (user.role, user.is_verified, states()) == ("viewer", True, ["live"])


def test_the_link_takes_over_an_unverified_account(
    stranger: Client, invited: IssuedInvitation, settings: Settings
) -> None:
    settings.ALLOW_UNVERIFIED_EMAIL_LOGIN = True
    squatter = Client(headers={"host": "localhost:8000"})
    squatter.post("/sign-up", {"email": EMAIL, "name": "Evil", "password": PASSWORD})
    handle_sign_up_requests()
    squatter.post("/sign-in", {"login": EMAIL, "password": PASSWORD})
    assert squatter.get("/account/").status_code == 200

    user = accept_invitation(token_of(invited), name="Nina", password=PHRASE)

    user = User.objects.get(email=EMAIL)
    assert (user.name, user.role, user.is_verified, states()) == ("Nina", "editor", True, ["used"])
    assert (user.check_password(PHRASE), user.check_password(PASSWORD)) == (True, False)
    assert squatter.get("/account/").status_code == 302
    assert events().count(("account:invitation:accept", "success")) == 1


def test_an_admin_invitation_cannot_take_over_an_unverified_owner(
    admin: User, make_user: MakeUser
) -> None:
    issued = invite(actor=admin, email=EMAIL)
    chief = make_user("owner", EMAIL, is_verified=False)

    with pytest.raises(RecordInvalid):
        accept_invitation(token_of(issued), name="", password=PHRASE)

    chief.refresh_from_db()
    assert (chief.check_password(PASSWORD), chief.is_verified, states()) == (True, False, ["live"])


def test_an_unverified_account_that_is_disabled_stays_so(
    owner: User, make_user: MakeUser, invited: IssuedInvitation
) -> None:
    users.disable_user(actor=owner, user=make_user("viewer", EMAIL, is_verified=False))

    with pytest.raises(RecordInvalid):
        accept_invitation(token_of(invited), name="", password=PHRASE)

    assert (User.objects.get(email=EMAIL).is_active, states()) == (False, ["live"])


@pytest.mark.race
def test_of_many_acceptances_at_once_one_makes_the_account(
    any_database: str, tmp_path: Path
) -> None:
    race = Race(prepare="one_invitation", act="accept", count="count_accepted")

    found = run_race(any_database, str(tmp_path), race, 20)

    assert found == [(1, 1, 1, True)] * 20


def test_an_account_with_the_same_address_is_not_locked_after_the_own_one(
    monkeypatch: pytest.MonkeyPatch, make_user: MakeUser
) -> None:
    """Users are locked in one order; the address may move to another account at any moment."""
    invite(actor=SYSTEM, email="moved@example.com", role="editor")
    other = make_user(email="moved@example.com")
    locked: list[object] = []
    monkeypatch.setattr(
        "accounts.services.accept_invitation.lock_users", lambda *keys: locked.extend(keys)
    )

    with transaction.atomic():
        assert live_invitation(other.email) is not None
        assert locked == []
        assert accepted_by_address(other) is not None
    assert locked == [other.pk]
