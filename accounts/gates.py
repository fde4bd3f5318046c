"""The one lock: may this person act now? Every door asks here, and nowhere else.

Doors: password, magic link, later social, OpenID, LDAP and passkey; each session on each request;
the admin panel; tokens, keys and forward auth in upper rooms, which add their checks by the
setting SIGN_IN_GATES. See docs/architecture.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from accounts.context import has_ended
from accounts.errors import AccessEnded, AccountGone, Refused
from accounts.models import User
from accounts.roles import Role


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: `code` for a program, `message` for the person, `until` when it ends by itself."""

    code: str
    message: str
    until: datetime | None = None
    since: datetime | None = None

    def as_error(self) -> Refused:
        """The error that says the same."""
        return Refused(self.code, self.message, self.until, self.since)


Gate = Callable[[User], Refusal | None]
ClientGate = Callable[[str], Refusal | None]


def refusal(
    user: User | None,
    *,
    credential_at: datetime | None = None,
    is_key: bool = False,
    floor: Role = Role.NONE,
) -> Refusal | None:
    """Why `user` may not act now, or None.

    credential_at: when the presented credential was issued; older than the person's mark is
    refused. is_key: it is an API key, which has a mark of its own.
    floor: the lowest role that passes this door.
    """
    if user is None:
        return Refusal("not_authenticated", _("Please sign in."))
    if not user.is_active:
        return Refusal("account_disabled", _("This account is disabled. Ask an operator."))
    if user.is_built_in:
        return _refusal_of_anonymous(user, floor)
    if not user.is_claimed:
        return Refusal("setup_pending", _("This account waits for its first set-up."))
    mark = user.keys_not_before if is_key else user.not_before
    if credential_at is not None and credential_at < mark:
        return Refusal("token_invalid", _("Please sign in again."))
    found = _further_refusal(user)
    if found is not None:
        return found
    if Role(user.role).rank < floor.rank:
        return Refusal("forbidden", _("Your role does not allow this."))
    return None


def _refusal_of_anonymous(user: User, floor: Role) -> Refusal | None:
    """The anonymous user acts while the settings say so, with their role and no other.

    It has no mark and cannot be banned: that would shut everybody out.
    """
    if not user.is_active or user.role != settings.ANONYMOUS_ROLE:
        return Refusal("account_disabled", _("Use without an account is off. Please sign in."))
    if Role(user.role).rank < floor.rank:
        return Refusal("forbidden", _("Your role does not allow this."))
    return None


def require_unchanged(actor: User) -> None:
    """Raise Refused unless `actor`, let in a moment ago, may still do what they could then.

    Their role may be lower by now, their account shut, banned or gone, and their sign-ins ended.
    """
    now_there: User | None = User.everyone.filter(pk=actor.pk).first()
    if now_there is None:
        raise AccountGone
    found = refusal(now_there, floor=Role(actor.role))
    if found is not None:
        raise found.as_error()
    if now_there.not_before > actor.not_before and not has_ended(actor.pk):
        raise AccessEnded


def may_act(user: User | None) -> bool:
    """Does the lock open for `user`?"""
    return refusal(user) is None


def client_refusal(ip: str) -> Refusal | None:
    """Why nobody may sign in or up from the address `ip` now, or None.

    Asked at the doors, before a credential is looked at; never of a live session, so that one
    person's deeds do not throw out a whole office.
    """
    for path in settings.CLIENT_GATES:
        gate: ClientGate = _load(path)
        found = gate(ip)
        if found is not None:
            return found
    return None


def require_open_door(ip: str) -> None:
    """Raise Refused when nobody may sign in or up from the address `ip` now."""
    found = client_refusal(ip)
    if found is not None:
        raise found.as_error()


@cache
def _load(path: str) -> Any:
    return import_string(path)


def _further_refusal(user: User) -> Refusal | None:
    gates: list[Gate] = [_load(path) for path in settings.SIGN_IN_GATES]
    return next(filter(None, (gate(user) for gate in gates)), None)
