"""The one lock: may this person act now? Every door asks here, and nowhere else.

Doors: password, magic link, later social, OpenID, LDAP and passkey; each session on each request;
the admin panel; tokens, keys and forward auth in upper rooms, which add their checks by the
setting ACCESS_CHECKS. See docs/architecture.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.roles import Role
from core.errors import AccessDenied, AccessEnded, UserDeleted
from core.request_context import has_revoked


@dataclass(frozen=True, slots=True)
class DenialReason:
    """Why not: `code` for a program, `message` for the person, `until` when it ends by itself."""

    code: str
    message: str
    until: datetime | None = None
    since: datetime | None = None


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

    credential_at: when the presented credential was issued; older than the person's mark is
    refused. is_key: it is an API key, which has a mark of its own.
    floor: the lowest role that passes this door.
    """
    if user is None:
        return DenialReason("not_authenticated", _("Please sign in."))
    if not user.is_active:
        return DenialReason("account_disabled", _("This account is disabled. Ask an operator."))
    if user.is_built_in:
        return _anonymous_denial(user, floor)
    if not user.setup_completed:
        return DenialReason("setup_pending", _("This account waits for its first set-up."))
    mark = user.keys_valid_from if is_key else user.credentials_valid_from
    if credential_at is not None and credential_at < mark:
        return DenialReason("token_invalid", _("Please sign in again."))
    found = _further_denial(user)
    if found is not None:
        return found
    if Role(user.role).rank < floor.rank:
        return DenialReason("forbidden", _("Your role does not allow this."))
    return None


def _anonymous_denial(user: User, floor: Role) -> DenialReason | None:
    """The anonymous user acts while the settings say so, with their role and no other.

    It has no mark and cannot be banned: that would shut everybody out.
    """
    if not user.is_active or user.role != settings.ANONYMOUS_ROLE:
        return DenialReason("account_disabled", _("Use without an account is off. Please sign in."))
    if Role(user.role).rank < floor.rank:
        return DenialReason("forbidden", _("Your role does not allow this."))
    return None


def require_unchanged(actor: User) -> None:
    """Raise AccessDenied unless `actor`, let in a moment ago, may still do what they could then.

    Their role may be lower by now, their account shut, banned or gone, and their sign-ins ended.
    """
    now_there: User | None = User.all_objects.filter(pk=actor.pk).first()
    if now_there is None:
        raise UserDeleted
    found = get_denial(now_there, floor=Role(actor.role))
    if found is not None:
        raise AccessDenied(found.code, found.message, found.until, found.since)
    was_revoked = now_there.credentials_valid_from > actor.credentials_valid_from
    if was_revoked and not has_revoked(actor.pk):
        raise AccessEnded


def may_act(user: User | None) -> bool:
    """Does the lock open for `user`?"""
    return get_denial(user) is None


def client_denial(ip: str) -> DenialReason | None:
    """Why nobody may sign in or up from the address `ip` now, or None.

    Asked at the doors, before a credential is looked at; never of a live session, so that one
    person's deeds do not throw out a whole office.
    """
    for path in settings.CLIENT_CHECKS:
        gate: ClientCheck = _load(path)
        found = gate(ip)
        if found is not None:
            return found
    return None


def require_client_allowed(ip: str) -> None:
    """Raise AccessDenied when nobody may sign in or up from the address `ip` now."""
    found = client_denial(ip)
    if found is not None:
        raise AccessDenied(found.code, found.message, found.until, found.since)


@cache
def _load(path: str) -> Any:
    return import_string(path)


def _further_denial(user: User) -> DenialReason | None:
    gates: list[AccessCheck] = [_load(path) for path in settings.ACCESS_CHECKS]
    return next(filter(None, (gate(user) for gate in gates)), None)
