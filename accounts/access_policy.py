"""Decides whether an account may act now. Every sign-in method and credential asks here.

Callers are the sign-in flow (password, link, provider, directory, passkey), each request of a
session, the admin, API tokens and keys, and forward auth. Other apps add checks through the
settings ACCESS_CHECKS and CLIENT_CHECKS. See docs/architecture.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.roles import Role
from core.errors import AccessDenied, AccessEnded, UserDeleted
from core.web.request_context import has_revoked


@dataclass(frozen=True, slots=True)
class DenialReason:
    """Why an account may not act: `code` is for programs, `message` for people.

    until: when the denial ends by itself, if it does. since: when it began, if that is known.
    """

    code: str
    message: str
    until: datetime | None = None
    since: datetime | None = None

    def as_error(self) -> AccessDenied:
        """The exception that carries this reason."""
        return AccessDenied(self.code, self.message, self.until, self.since)


AccessCheck = Callable[[User], DenialReason | None]
ClientCheck = Callable[[str], DenialReason | None]


def get_denial(
    user: User | None,
    *,
    credential_at: datetime | None = None,
    is_key: bool = False,
    floor: Role = Role.NONE,
) -> DenialReason | None:
    """Why `user` may not act now, or None.

    credential_at: when the presented credential was issued; one from before the account's
    `credentials_valid_from` is denied. is_key: the credential is an API key, for which
    `keys_valid_from` counts instead; a service account is denied without one. floor: the lowest
    role that is allowed.
    """
    if user is None:
        return DenialReason("not_authenticated", _("Please sign in."))
    if not user.is_active:
        return DenialReason(
            "account_disabled", _("This account is disabled. Ask an administrator.")
        )
    if user.is_built_in:
        return _anonymous_denial(user, floor)
    if user.is_expired(timezone.now()):
        return DenialReason(
            "account_expired", _("The access of this account has ended. Ask an administrator.")
        )
    if not user.setup_completed:
        return DenialReason("setup_pending", _("This account has not been set up yet."))
    if user.is_service and not is_key:
        return DenialReason(
            "service_account", _("A service account does not sign in. It uses API keys.")
        )
    valid_from = user.keys_valid_from if is_key else user.credentials_valid_from
    if credential_at is not None and credential_at < valid_from:
        return DenialReason("token_invalid", _("Please sign in again."))
    return _further_denial(user) or _role_denial(user, floor)


def require_unchanged(actor: User) -> None:
    """Raise AccessDenied unless `actor`, who was allowed to act a moment ago, still is.

    Meanwhile the role may have been lowered, the account disabled, banned or deleted, or its
    sessions ended. Raises the subclasses UserDeleted and AccessEnded for the last two.
    """
    current: User | None = User.all_objects.filter(pk=actor.pk).first()
    if current is None:
        raise UserDeleted
    denial = get_denial(current, is_key=current.is_service, floor=Role(actor.role))
    if denial is not None:
        raise denial.as_error()
    if current.credentials_valid_from > actor.credentials_valid_from and not has_revoked(actor.pk):
        raise AccessEnded


def account_denial(user: User | None) -> DenialReason | None:
    """Why the account may not act now, whatever its credentials; or None.

    For code that asks about an account, not about a sign-in.
    """
    return get_denial(user, is_key=user is not None and user.is_service)


def may_act(user: User | None) -> bool:
    """Whether account_denial() has nothing against `user`. Never decides about a sign-in."""
    return account_denial(user) is None


def client_denial(ip: str) -> DenialReason | None:
    """Why no one may sign in or sign up from the address `ip` now, or None.

    Asked before a credential is looked at. Live sessions are not asked, so that one user's
    violations do not sign out a whole office.
    """
    for path in settings.CLIENT_CHECKS:
        check: ClientCheck = _load(path)
        denial = check(ip)
        if denial is not None:
            return denial
    return None


def require_client_allowed(ip: str) -> None:
    """Raise AccessDenied when no one may sign in or sign up from the address `ip` now."""
    denial = client_denial(ip)
    if denial is not None:
        raise denial.as_error()


def _anonymous_denial(user: User, floor: Role) -> DenialReason | None:
    """The anonymous user acts only while the settings give it exactly its stored role.

    It has no sessions to end and cannot be banned: a ban would apply to every visitor.
    """
    if user.role != settings.ANONYMOUS_ROLE:
        return DenialReason("account_disabled", _("You need an account here. Please sign in."))
    return _role_denial(user, floor)


def _further_denial(user: User) -> DenialReason | None:
    for path in settings.ACCESS_CHECKS:
        check: AccessCheck = _load(path)
        denial = check(user)
        if denial is not None:
            return denial
    return None


def _role_denial(user: User, floor: Role) -> DenialReason | None:
    if floor is not Role.NONE and Role(user.role).rank < floor.rank:
        return DenialReason("forbidden", _("Your role does not allow this."))
    return None


@cache
def _load(path: str) -> Any:
    return import_string(path)
