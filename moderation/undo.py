"""How bans are taken back; see accounts.undo.registry."""

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.services.ranks import require_rank
from accounts.undo.registry import Reversal, undoes
from audit.models import AuditEvent
from core.errors import CannotUndo
from core.locks import lock_users
from core.text.time_display import exact_moment
from moderation.models import Ban
from moderation.services import bans


def lock_ban(event: AuditEvent) -> None:
    """Lock the banned user, or the row of a ban of a network alone."""
    if event.target_id is not None:
        lock_users(event.target_id)
        return
    Ban.objects.select_for_update(of=("self",)).filter(pk=event.detail.get("ban")).first()


def _none(_event: AuditEvent) -> "QuerySet[AuditEvent]":
    """The row of the ban itself tells whether it has changed since."""
    return AuditEvent.objects.none()


@undoes("moderation:ban:start", later=_none, lock=lock_ban, scope="moderation")
def undo_ban(event: AuditEvent) -> Reversal:
    """Lift the ban."""
    ban = _ban(event)
    if ban.state(timezone.now()) != "active":
        raise CannotUndo(_("The ban is not in force any more."))
    return Reversal(
        _name(ban),
        _state(ban),
        _("not banned"),
        lambda actor: bans.lift(actor=actor, ban=ban),
        lambda actor: _require_rank(actor, ban),
        _("Sessions that ended stay ended: the person signs in again.") if ban.user else "",
    )


@undoes("moderation:ban:lift", later=_none, lock=lock_ban, scope="moderation")
def undo_lift(event: AuditEvent) -> Reversal:
    """Ban again, until the same time and with the same reason, as a new ban."""
    ban = _ban(event)
    if ban.until is not None and ban.until <= timezone.now():
        raise CannotUndo(_("The ban would have ended by itself by now."))
    again = bans.active_bans().filter(user=ban.user, network=ban.network).first()
    if again is not None:
        text = _("The same was banned again on %(when)s.")
        raise CannotUndo(text % {"when": exact_moment(again.created_at)})

    def allow(actor: Actor) -> None:
        _require_rank(actor, ban)
        bans.check_ban(actor, user=ban.user, network=ban.network, duration=None)

    return Reversal(
        _name(ban),
        _("not banned"),
        _state(ban),
        lambda actor: bans.ban(
            actor=actor,
            user=ban.user,
            network=ban.network,
            duration=None,
            expires_at=ban.until,
            reason=ban.reason,
        ),
        allow,
        _("The person is signed out everywhere.") if ban.user else "",
    )


def _ban(event: AuditEvent) -> Ban:
    ban = Ban.objects.select_related("user").filter(pk=event.detail.get("ban")).first()
    if ban is None:
        raise CannotUndo(_("The ban is not stored any more."))
    return ban


def _require_rank(actor: Actor, ban: Ban) -> None:
    bans.require_admin(actor)
    if ban.user is not None:
        require_rank(actor, ban.user)


def _name(ban: Ban) -> str:
    named = [*([ban.user.get_full_name()] if ban.user else []), *filter(None, [ban.network])]
    return _("Ban of %(name)s") % {"name": ", ".join(named)}


def _state(ban: Ban) -> str:
    if ban.until is None:
        return _("banned until it is lifted")
    return _("banned until %(until)s") % {"until": exact_moment(ban.until)}
