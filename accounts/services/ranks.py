"""Whether an actor may manage a user; the services for changes of accounts ask here."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.actors import Actor
from accounts.models import User
from accounts.roles import Role, can_manage
from core.errors import Forbidden, RecordInvalid
from core.locks import lock_users

OWNER_IS_PERSON = gettext_lazy("A service account cannot be owner. Choose admin or a lower role.")


def require_person(user: User, field: str) -> None:
    """Raise RecordInvalid, under the name `field`, for a service account."""
    if user.is_service:
        text = _("A service account has no password, no address and no sign-in: only API keys.")
        raise RecordInvalid({field: [text]})


def require_role_of_kind(user: User, role: str) -> None:
    """Raise RecordInvalid for a service account as owner: only people own an instance."""
    if user.is_service and role == Role.OWNER:
        raise RecordInvalid({"role": [str(OWNER_IS_PERSON)]})


def require_rank(actor: Actor, user: User) -> None:
    """Raise Forbidden unless `actor` may manage `user`. No one may manage the anonymous user."""
    if user.is_built_in:
        raise Forbidden(_("The settings control the anonymous user, so it cannot be changed here."))
    if not can_manage(Role(actor.role), Role(user.role)):
        raise Forbidden(_("You may only manage people whose role is below your own."))


def require_rank_or_self(actor: Actor, user: User) -> None:
    """See require_rank(); everyone may also act on their own account."""
    if actor.pk != user.pk or user.is_built_in:
        require_rank(actor, user)


def require_rank_now(actor: Actor, user: User) -> None:
    """Lock the account and check require_rank() against its current role, in a transaction.

    For actions that hand out credentials, such as links: the role may have been raised since the
    request began.
    """
    lock_users(user.pk)
    fields = ("role", "role_until", "role_after")
    current = User.all_objects.filter(pk=user.pk).only(*fields).first()
    if current is None:
        raise RecordInvalid({"user": [_("This account does not exist any more.")]})
    user.role = current.role
    require_rank(actor, user)
