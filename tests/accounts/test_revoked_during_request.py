"""An actor loses the right to an action after their request was accepted.

Requests wait for locks; what ends the access of their person may be committed before their turn.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest

from accounts.actors import SYSTEM
from accounts.models import Invitation, User
from accounts.services import users
from accounts.services.invitations import invite
from accounts.services.passwords import set_password, start_reset
from accounts.services.second_factors import reset_factors
from accounts.services.sessions import end_sessions
from accounts.services.verification import mark_verified
from audit.models import AuditEvent
from core.errors import AccessDenied, Forbidden, GatehouseError
from core.web.request_context import RequestContext, use_context
from magiclinks.models import LoginLink
from magiclinks.services import issue_link
from mail.models import OutboxMail
from moderation.models import Ban
from moderation.services.bans import ban
from tests.mfa.authenticator import set_up_app

pytestmark = pytest.mark.django_db
RecordedAction = Callable[[User, User], object]
HOUR = timedelta(hours=1)
PHRASE = "seven quiet rivers under glass"


def again(user: User) -> User:
    """The same account, as another request has read it."""
    return User.objects.get(pk=user.pk)


ACTIONS: dict[str, RecordedAction] = {
    "create": lambda actor, _: users.create_user(actor=actor, email="new@example.com"),
    "edit": lambda actor, user: users.edit_profile(
        actor=actor, user=user, profile=users.Profile(email="mine@example.com")
    ),
    "role": lambda actor, user: users.change_role(actor=actor, user=user, role="editor"),
    "disable": lambda actor, user: users.disable_user(actor=actor, user=user),
    "delete": lambda actor, user: users.delete_user(actor=actor, user=user),
    "password": lambda actor, user: set_password(actor=actor, user=user, new=PHRASE),
    "reset": lambda actor, user: start_reset(actor=actor, user=user),
    "factors": lambda actor, user: reset_factors(actor=actor, user=user),
    "vouch": lambda actor, user: mark_verified(actor=actor, user=user),
    "link": lambda actor, user: issue_link(actor=actor, user=user, lifetime=HOUR, source="admin"),
    "invite": lambda actor, _: invite(actor=actor, email="guest@example.com"),
    "ban": lambda actor, user: ban(actor=actor, user=user, duration=HOUR, reason=""),
    "sign out": lambda actor, user: end_sessions(actor=actor, user=user),
}
ENDS: dict[str, tuple[Callable[[User], object], str]] = {
    "demoted": (lambda u: users.change_role(actor=SYSTEM, user=u, role="editor"), "forbidden"),
    "disabled": (lambda u: users.disable_user(actor=SYSTEM, user=u), "account_disabled"),
    "banned": (lambda u: ban(actor=SYSTEM, user=u, duration=HOUR, reason=""), "banned"),
    "deleted": (lambda u: users.delete_user(actor=SYSTEM, user=u), "not_authenticated"),
    "password": (lambda u: set_password(actor=SYSTEM, user=u, new=PHRASE), "not_authenticated"),
    "signed out": (lambda u: end_sessions(actor=SYSTEM, user=u), "not_authenticated"),
}


@pytest.fixture
def person(viewer: User) -> User:
    """With something that each act would change."""
    set_up_app(viewer)
    User.objects.filter(pk=viewer.pk).update(email_verified_at=None)
    return again(viewer)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("act", ACTIONS)
def test_an_actor_without_access_can_do_nothing_more(
    admin: User, person: User, act: str, end: str
) -> None:
    ending, code = ENDS[end]
    ending(again(admin))
    before = again(person).__dict__ | {"_state": None}
    mails = OutboxMail.objects.count()

    with pytest.raises(AccessDenied) as caught:
        ACTIONS[act](admin, person)

    assert caught.value.code == code
    assert again(person).__dict__ | {"_state": None} == before
    assert person.authenticators.count() == 1
    assert not AuditEvent.objects.filter(actor_id=admin.pk).exists()
    made = [LoginLink.objects.count(), Invitation.objects.count(), OutboxMail.objects.count()]
    assert made == [0, 0, mails]
    assert not Ban.objects.filter(user=person).exists()


@pytest.mark.parametrize("act", sorted(ACTIONS.keys() - {"create", "invite", "sign out"}))
def test_a_user_who_now_outranks_the_actor_is_not_changed(
    admin: User, person: User, act: str
) -> None:
    users.change_role(actor=SYSTEM, user=again(person), role="owner")

    with pytest.raises(GatehouseError) as caught:
        ACTIONS[act](admin, person)

    assert isinstance(caught.value, Forbidden)
    assert again(person).role == "owner"
    assert (again(person).email, LoginLink.objects.count()) == ("viewer@example.com", 0)


def test_signing_out_everywhere_does_not_end_the_current_request(owner: User, viewer: User) -> None:
    """As an owner who selects all users in the admin."""
    with use_context(RequestContext()):
        end_sessions(actor=owner, user=again(owner))
        end_sessions(actor=owner, user=viewer)
    with use_context(RequestContext()), pytest.raises(AccessDenied):
        end_sessions(actor=owner, user=viewer)
