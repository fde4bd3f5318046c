"""How the switches of sign-in providers are taken back; see accounts.undo.registry."""

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.undo.registry import Reversal, undoes
from audit.models import AuditEvent
from core.errors import CannotUndo
from federation.models import PausedProvider
from federation.services import switching

SWITCHES = ("settings:provider:switch-off", "settings:provider:switch-on")


def lock_owners(_event: AuditEvent) -> None:
    """Lock what a switch locks first."""
    switching.lock_owners()


def _same_provider(event: AuditEvent) -> "QuerySet[AuditEvent]":
    return AuditEvent.objects.filter(action__in=SWITCHES, detail__provider=event.detail["provider"])


@undoes(*SWITCHES, later=_same_provider, lock=lock_owners)
def undo_switch(event: AuditEvent) -> Reversal:
    """Switch the provider on or off again; off only if no owner loses their last way in."""
    provider: str = event.detail["provider"]
    is_off = PausedProvider.objects.filter(pk=provider).exists()
    if is_off != event.action.endswith("off"):
        raise CannotUndo(_("The provider is no longer as this change left it."))

    def switch(actor: Actor) -> None:
        change = switching.switch_on if is_off else switching.switch_off
        change(actor=actor, provider_id=provider)

    words = {True: _("switched off"), False: _("switched on")}
    return Reversal(
        _("Sign-in through %(provider)s") % {"provider": provider},
        words[is_off],
        words[not is_off],
        switch,
        switching.require_owner,
    )
