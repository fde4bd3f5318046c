"""Whether users have a second factor, and administrators' reset of factors.

The app mfa implements the factors. Here they are the reverse relations `authenticators`,
`recovery_codes` and `trusted_browsers` of a user.
"""

from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.actors import Actor
from accounts.models import User
from accounts.services.approvals import acts
from accounts.services.approvals.rule import needs_second_owner, require_second_owner
from accounts.services.mail import notify
from accounts.services.ranks import require_rank, require_rank_now
from accounts.services.sessions import revoke_sessions
from audit import audit_log
from core.errors import Forbidden, RecordInvalid
from core.sql import has_row


class FactorNeeded(Forbidden):
    """The role requires a second factor, and this is the last one."""

    code = "second_factor_needed"
    default_message = _(
        "Your role requires a second factor. Set up another one before you remove this one."
    )


class SecondFactorSetUpRequired(Forbidden):
    """The role requires a second factor and the user has none. Pages lead to the set-up."""

    code = "second_factor_setup_required"
    default_message = _(
        "Your role requires a second factor. Sign in with a browser once and set one up there."
    )


class RemainingCodes(NamedTuple):
    """Unused recovery codes, and all codes of the current set."""

    left: int
    total: int


def has_factor(user: User) -> bool:
    """Whether `user` has a second factor; every sign-in method then asks for it."""
    return has_row(user.authenticators.model, "user", user.pk)


def lacks_required_factor(user: User) -> bool:
    """Whether the role of `user` requires a second factor that they have not set up.

    Service accounts never sign in on a page, so they have none.
    """
    is_asked = user.role in settings.MFA_REQUIRED_ROLES and not user.is_service
    return is_asked and not has_factor(user)


def require_set_up(user: User) -> None:
    """Raise SecondFactorSetUpRequired if lacks_required_factor()."""
    if lacks_required_factor(user):
        raise SecondFactorSetUpRequired


@needs_second_owner(acts.RESET_FACTORS)
def reset_factors(*, actor: Actor, user: User) -> int:
    """Remove all factors of another user; returns how many.

    Ends the user's sessions and tokens and notifies them by mail. Raises Forbidden, RecordInvalid
    when there are none.
    """
    require_rank(actor, user)
    if actor.pk == user.pk:
        raise RecordInvalid({"user": [str(_("change your own factors on your account page"))]})
    with transaction.atomic():
        require_rank_now(actor, user)
        kinds = sorted(user.authenticators.values_list("kind", flat=True))
        if not kinds:
            raise RecordInvalid({"user": [str(_("there is no second factor"))]})
        require_second_owner(actor, user)
        user.authenticators.all().delete()
        drop_without_factor(user)
        revoke_sessions(user, "second factors reset")
        audit_log.record("account:factor:reset", actor=actor, target=user, kinds=kinds)
        notify(user, "factors-reset")
    return len(kinds)


def remaining_codes(user: User) -> RemainingCodes:
    """How many recovery codes of the user are unused, and how many were made."""
    used = list(user.recovery_codes.values_list("used_at", flat=True))
    return RemainingCodes(used.count(None), len(used))


def drop_without_factor(user: User) -> None:
    """Once the last factor is removed, delete recovery codes and trusted browsers as well."""
    if not has_factor(user):
        user.recovery_codes.all().delete()
        user.trusted_browsers.all().delete()
