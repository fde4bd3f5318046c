"""User management: rank, last owner, revoked credentials, audit rows."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.roles import Role, can_manage
from accounts.services import sessions, users, verification
from accounts.services.invitations import invite
from accounts.services.passwords import set_password, start_reset
from accounts.services.users import Profile
from audit.models import AuditEvent
from core.errors import Forbidden, LastOwner, RecordInvalid
from core.text import email_addresses
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db

ACTIONS: dict[str, Callable[[User, User], object]] = {
    "edit": lambda actor, user: users.edit_profile(
        actor=actor, user=user, profile=Profile(name="Changed")
    ),
    "change-email": lambda actor, user: users.edit_profile(
        actor=actor, user=user, profile=Profile(email="changed@example.com")
    ),
    "demote": lambda actor, user: users.change_role(actor=actor, user=user, role="none"),
    "disable": lambda actor, user: users.disable_user(actor=actor, user=user),
    "enable": lambda actor, user: users.enable_user(actor=actor, user=user),
    "delete": lambda actor, user: users.delete_user(actor=actor, user=user),
    "vouch": lambda actor, user: verification.mark_verified(actor=actor, user=user),
    "end sessions": lambda actor, user: sessions.end_sessions(actor=actor, user=user),
    "set password": lambda actor, user: set_password(
        actor=actor, user=user, new="an entirely new phrase of words"
    ),
    "start reset": lambda actor, user: start_reset(actor=actor, user=user),
}


@pytest.mark.parametrize("act", ACTIONS)
@pytest.mark.parametrize("actor_role", Role)
@pytest.mark.parametrize("target_role", Role)
def test_every_action_obeys_the_rank_rule(
    make_user: Callable[..., User], act: str, actor_role: Role, target_role: Role
) -> None:
    make_user("owner", "another-owner@example.com")
    actor, target = (
        make_user(actor_role, "actor@example.com"),
        make_user(target_role, "t@example.com"),
    )
    before = User.objects.filter(pk=target.pk).values().get()

    if can_manage(actor_role, target_role):
        ACTIONS[act](actor, target)
        if act not in ("enable", "vouch") and not (act == "demote" and target_role == "none"):
            assert AuditEvent.objects.filter(target_id=target.pk, actor_id=actor.pk).exists()
    else:
        with pytest.raises(Forbidden):
            ACTIONS[act](actor, target)
        assert User.objects.filter(pk=target.pk).values().get() == before
        assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("actor_role", ["admin", "editor", "viewer", "none"])
@pytest.mark.parametrize("new_role", ["owner", "admin"])
def test_only_roles_below_the_own_can_be_given(
    make_user: Callable[..., User], actor_role: str, new_role: str
) -> None:
    actor, target = make_user(actor_role, "actor@example.com"), make_user("viewer", "t@example.com")

    with pytest.raises(Forbidden):
        users.change_role(actor=actor, user=target, role=new_role)
    with pytest.raises(Forbidden):
        users.create_user(actor=actor, email="new@example.com", role=new_role)

    target.refresh_from_db()
    assert target.role == "viewer"
    assert not User.objects.filter(email="new@example.com").exists()


@pytest.mark.parametrize("act", ["demote", "disable", "delete"])
@pytest.mark.parametrize("by_themselves", [True, False])
def test_the_last_active_owner_stays(
    make_user: Callable[..., User], owner: User, act: str, by_themselves: bool
) -> None:
    make_user("owner", "disabled@example.com", is_active=False)
    make_user("owner", "unclaimed@example.com", setup_completed=False)
    actor = owner if by_themselves else SYSTEM

    with pytest.raises(LastOwner):
        ACTIONS[act](actor, owner)  # type: ignore[arg-type]

    owner.refresh_from_db()
    assert (owner.role, owner.is_active) == ("owner", True)
    assert not AuditEvent.objects.exists()


def test_of_two_owners_one_can_be_removed(make_user: Callable[..., User], owner: User) -> None:
    second = make_user("owner", "second@example.com")

    users.change_role(actor=owner, user=second, role="admin")

    second.refresh_from_db()
    assert second.role == "admin"
    event = AuditEvent.objects.get(action="account:role:change")
    assert event.detail == {"before": "owner", "after": "admin"}


@pytest.mark.parametrize("act", ["demote", "disable", "set password", "end sessions"])
def test_losing_rights_ends_sessions_at_once(
    owner: User, editor: User, browser_of: Callable[[User], Client], act: str
) -> None:
    browser = browser_of(editor)
    before = User.objects.get(pk=editor.pk).credentials_valid_from
    assert browser.get("/account/").status_code == 200

    ACTIONS[act](owner, editor)

    assert editor.sessions.count() == 0
    assert User.objects.get(pk=editor.pk).credentials_valid_from > before
    answer = browser.get("/account/")
    assert (answer.status_code, answer["Location"]) == (302, "/sign-in?next=/account/")


def test_an_account_is_created_with_the_given_values(owner: User) -> None:
    user = users.create_user(
        actor=owner, email=" Nina@Example.com ", role="editor", name=" Nina   N. ", username="Nina"
    )

    assert (user.email, user.name, user.username) == ("nina@example.com", "Nina N.", "nina")
    assert (user.role, user.is_verified, user.has_usable_password()) == ("editor", False, False)
    event = AuditEvent.objects.get()
    assert (event.action, event.actor_id, event.target_id) == (
        "account:user:create",
        owner.pk,
        user.pk,
    )
    assert event.detail == {"role": "editor", "source": "operator"}


def test_errors_are_named_by_field(owner: User, viewer: User) -> None:
    with pytest.raises(RecordInvalid) as caught:
        users.create_user(actor=owner, email="nope", username="a b")
    assert set(caught.value.errors) == {"email", "username"}

    with pytest.raises(RecordInvalid) as caught:
        users.create_user(actor=owner, email=viewer.email, username="VERA")
    assert caught.value.errors == {
        "email": ["Another account has this address."],
        "username": ["Another account has this user name."],
    }
    with pytest.raises(RecordInvalid) as caught:
        users.create_user(actor=owner, email="new@example.com", password="short")
    assert set(caught.value.errors) == {"password"}
    assert not AuditEvent.objects.exists()


def test_an_address_set_by_an_administrator_is_unverified_and_both_are_notified(
    owner: User, viewer: User, mails: Callable[[], list]
) -> None:
    users.edit_profile(actor=owner, user=viewer, profile=Profile(email="new@example.com"))

    viewer.refresh_from_db()
    assert (viewer.email, viewer.is_verified) == ("new@example.com", False)
    assert [(mail.kind, mail.recipient) for mail in mails()] == [
        ("email-changed", "viewer@example.com"),
        ("email-changed", "new@example.com"),
    ]


def test_the_profile_cannot_change_the_own_address(viewer: User) -> None:
    with pytest.raises(Forbidden):
        users.edit_profile(actor=viewer, user=viewer, profile=Profile(email="other@example.com"))


def test_an_empty_user_name_removes_it(viewer: User) -> None:
    users.edit_profile(actor=viewer, user=viewer, profile=Profile(username=""))

    viewer.refresh_from_db()
    assert viewer.username is None


def test_staff_and_superuser_follow_from_the_role_and_cannot_be_set(
    make_user: Callable[..., User],
) -> None:
    facts = {
        role.value: (user.is_staff, user.is_superuser)
        for role in Role
        for user in [make_user(role, f"{role}@example.com")]
    }

    assert facts == {
        "owner": (True, True),
        "admin": (True, False),
        "editor": (False, False),
        "viewer": (False, False),
        "none": (False, False),
    }
    with pytest.raises(AttributeError):
        make_user("viewer", "x@example.com").is_staff = True  # type: ignore[misc]


# Addresses of ours without a mailbox


PLACEHOLDER = email_addresses.placeholder("github", "7")


@pytest.mark.parametrize("email", [PLACEHOLDER, "anna@users.invalid", " Anna@Users.INVALID"])
def test_a_placeholder_address_cannot_be_registered(
    owner: User, viewer: User, stranger: Client, email: str
) -> None:
    with pytest.raises(RecordInvalid) as refused:
        users.create_user(actor=owner, email=email)
    assert refused.value.errors.keys() == {"email"}
    with pytest.raises(RecordInvalid):
        users.edit_profile(actor=owner, user=viewer, profile=Profile(email=email))
    with pytest.raises(RecordInvalid):
        invite(actor=owner, email=email)
    form = {"email": email, "name": "", "password": PASSWORD}
    assert stranger.post("/sign-up", form).status_code == 400

    assert set(User.objects.values_list("email", flat=True)) == {owner.email, "viewer@example.com"}


def test_an_account_with_a_placeholder_address_can_be_edited(
    owner: User, make_user: Callable[..., User], browser_of: Callable[[User], Client]
) -> None:
    user = make_user("viewer", PLACEHOLDER, password=None)

    users.edit_profile(actor=owner, user=user, profile=Profile(name="Anna"))
    form = {"email": PLACEHOLDER, "name": "Anna A.", "username": "", "role": "viewer"}
    answer = browser_of(owner).post(f"/admin/accounts/user/{user.pk}/change/", form)

    assert answer.status_code == 302
    user.refresh_from_db()
    assert (user.email, user.name) == (PLACEHOLDER, "Anna A.")
