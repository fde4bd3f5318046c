"""Switch sign-in providers and the directory off and on.

The settings decide which providers there are: a switch can only take one away for a while. Only
owners switch, because providers are settings (CONTRACT section 4).
"""

from collections.abc import Iterable

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.models import User
from accounts.roles import Role
from accounts.services.credentials import can_sign_in
from audit import audit_log
from core.errors import Forbidden, NotFound
from core.locks import ROLES, acquire_lock, lock_users
from federation.ldap.conf import PROVIDER as DIRECTORY
from federation.models import PausedProvider
from federation.providers import configured
from mail.outage import will_be_sent

MAX_NAMES = 3


class LocksOwnersOut(Forbidden):
    """Without this provider these owners could not sign in any more."""

    code = "last_way_in"

    def __init__(self, owners: Iterable[User]) -> None:
        names = [owner.email for owner in owners]
        shown = ", ".join(names[:MAX_NAMES]) + (" …" if len(names) > MAX_NAMES else "")
        super().__init__(
            _(
                "Without it these owners could not sign in any more: %(names)s. Let them set up "
                "a password or a passkey first."
            )
            % {"names": shown}
        )


def switchable_ids() -> tuple[str, ...]:
    """The ids of the configured providers, and of the directory if there is one."""
    ids = tuple(provider.id for provider in configured())
    return ids if settings.LDAP is None else (*ids, DIRECTORY)


def switch_off(*, actor: Actor, provider_id: str) -> bool:
    """Let no one sign in through the provider; False if it was off already.

    Present sessions stay. Raises Forbidden, LocksOwnersOut, NotFound.
    """
    require_owner(actor)
    _require_configured(provider_id)
    with transaction.atomic():
        # Owners who remove their other sign-in methods at the same time wait here.
        lock_users(actor.pk, *_owners().values_list("pk", flat=True))
        acquire_lock(ROLES)
        mail_works = will_be_sent()
        able = [owner for owner in _owners() if can_sign_in(owner, mail_works=mail_works)]
        _row, is_new = PausedProvider.objects.get_or_create(provider=provider_id)
        if not is_new:
            return False
        stranded = [owner for owner in able if not can_sign_in(owner, mail_works=mail_works)]
        if stranded:
            raise LocksOwnersOut(stranded)
        audit_log.record("settings:provider:switch-off", actor=actor, provider=provider_id)
    return True


def switch_on(*, actor: Actor, provider_id: str) -> bool:
    """Let users sign in through the provider again; False if it was on. Raises Forbidden."""
    require_owner(actor)
    with transaction.atomic():
        lock_users(actor.pk)
        acquire_lock(ROLES)
        count, _rows = PausedProvider.objects.filter(pk=provider_id).delete()
        if not count:
            return False
        audit_log.record("settings:provider:switch-on", actor=actor, provider=provider_id)
    return True


def _owners() -> "QuerySet[User]":
    """Every owner who may act now, also those whose role ends."""
    found: QuerySet[User] = User.objects.people().filter(role=Role.OWNER, is_active=True)
    return found


def lock_owners() -> None:
    """Lock every owner who may act: those who switch, and those who must not be locked out."""
    lock_users(*_owners().values_list("pk", flat=True))


def require_owner(actor: Actor) -> None:
    """Raise Forbidden unless the actor is an owner."""
    if Role(actor.role) is not Role.OWNER:
        raise Forbidden(_("Only owners may switch sign-in providers."))


def _require_configured(provider_id: str) -> None:
    if provider_id not in switchable_ids():
        raise NotFound(_("No provider with this name is configured."))
