"""Takes back a change of the audit log: a new change, by the service that made the first one."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.models import DeletedGroup, ProfileChange
from accounts.models.audit_events import sentence_of, with_emails
from accounts.services.approvals import acts
from accounts.services.approvals.rule import needs_second_owner
from accounts.undo.registry import Kind, Reversal, kind_of, refusal_of
from audit import audit_log
from audit.models import AuditEvent
from core.errors import CannotUndo
from core.locks import delete_free
from core.text.time_display import exact_moment

# After more changes of one thing, undo refuses: it would have to look through all of them.
MAX_LATER = 200
# What a directory has changed; it would do so again.
SYNC_REASON = "syncldap "


def with_undo(rows: "QuerySet[AuditEvent]") -> "QuerySet[AuditEvent]":
    """Annotate with `undone_by`: the number of the event that took this one back, or None."""
    undoing = AuditEvent.objects.filter(undoes=OuterRef("seq")).values("seq")
    return rows.annotate(undone_by=Subquery(undoing[:1]))


def find_event(seq: int) -> AuditEvent | None:
    """The event with names and `undone_by`; None for a number that does not exist."""
    if not 0 < seq < 2**63:
        return None
    return with_undo(with_emails(AuditEvent.objects.filter(pk=seq))).first()


def undo_problem(event: AuditEvent, now: datetime) -> str | None:
    """Why the event cannot be taken back, as far as the event itself shows; None if it may be.

    "" if it records no change that could be. event: from with_undo(). Whether the thing has changed
    since is asked by plan_undo().
    """
    if event.result != "success" or kind_of(event.action) is None:
        return refusal_of(event.action) if event.result == "success" else ""
    undone_by = getattr(event, "undone_by", None)
    if undone_by is not None:
        return _("It was undone already, by entry %(number)d.") % {"number": undone_by}
    if _is_automatic(event):
        return _(
            "Gatehouse made this change by itself, because of a limit, a time, a provider or a "
            "directory. Change the present state instead."
        )
    return _too_late(event, now)


def is_undoable(event: AuditEvent, now: datetime) -> bool:
    """See undo_problem()."""
    return undo_problem(event, now) is None


def plan_undo(event: AuditEvent, *, actor: Actor | None = None) -> Reversal:
    """What taking back the event would do now; event: from find_event().

    Raises CannotUndo with the reason. With an actor it also raises what the service would raise,
    such as Forbidden and LastOwner.
    """
    problem, kind = undo_problem(event, timezone.now()), kind_of(event.action)
    if problem is not None or kind is None:
        raise CannotUndo(problem)
    _refuse_if_changed(event, kind)
    plan = kind.plan(event)
    if actor is not None:
        plan.allow(actor)
    return plan


@needs_second_owner(acts.UNDO)
def undo(*, actor: Actor, event: AuditEvent) -> AuditEvent:
    """Take the event back; returns the new event, whose `undoes` is the number of this one.

    Raises CannotUndo, and what the service of the change raises. Decided under its lock: of two
    that undo the same event at once, one does it.
    """
    kind = kind_of(event.action)
    if kind is None:
        raise CannotUndo(refusal_of(event.action))
    with transaction.atomic():
        kind.lock(event)
        current = find_event(event.seq)
        if current is None:
            raise CannotUndo
        plan = plan_undo(current)
        with audit_log.undoing(event.seq):
            plan.run(actor)
        done = with_undo(with_emails(AuditEvent.objects.filter(undoes=event.seq))).first()
        if done is None:
            raise CannotUndo(_("Nothing would change: it is as it was before already."))
    return done


def undoable_of(events: Iterable[AuditEvent]) -> list[AuditEvent]:
    """Those of collected events that are in the log and can be taken back, in their order."""
    hashes = {event.seq: event.hash for event in events}
    if not hashes:
        return []
    found = with_undo(with_emails(AuditEvent.objects.filter(pk__in=hashes))).order_by("seq")
    return [one for one in found if one.hash == hashes[one.seq] and _can_plan(one)]


def _can_plan(event: AuditEvent) -> bool:
    try:
        plan_undo(event)
    except CannotUndo:
        return False
    return True


def purge_profile_changes(now: datetime) -> int:
    """Delete names that are not needed any more, because the window is over."""
    return delete_free(ProfileChange.objects.filter(created_at__lt=now - settings.UNDO_WINDOW))


def purge_deleted_groups(now: datetime) -> int:
    """Delete the members of groups whose deletion cannot be undone any more."""
    return delete_free(DeletedGroup.objects.filter(created_at__lt=now - settings.UNDO_WINDOW))


def _is_automatic(event: AuditEvent) -> bool:
    detail: Any = event.detail if isinstance(event.detail, dict) else {}
    is_by_itself = event.actor_id is None and event.channel != "command"
    return is_by_itself or str(detail.get("reason", "")).startswith(SYNC_REASON)


def _too_late(event: AuditEvent, now: datetime) -> str | None:
    window: timedelta = settings.UNDO_WINDOW
    if not window:
        return _("Undo is switched off (UNDO_WINDOW).")
    if now - event.at <= window:
        return None
    text = _("It is too late: it could be undone until %(when)s.")
    return text % {"when": exact_moment(event.at + window)}


def _refuse_if_changed(event: AuditEvent, kind: Kind) -> None:
    """Raise CannotUndo if a later change of the same thing is in effect.

    A later change that was undone has no effect, nor has its undo. From the newest to the oldest,
    because an undo may be undone, too.
    """
    later = kind.later(event).filter(seq__gt=event.seq, result="success").order_by("-seq")
    without_effect: set[int] = set()
    changes = list(with_emails(later)[: MAX_LATER + 1])
    if len(changes) > MAX_LATER:
        raise CannotUndo(_("It was changed too often since."))
    for change in changes:
        if change.seq in without_effect:
            continue
        if change.undoes is None or change.undoes <= event.seq:
            text = _("It was changed again on %(when)s: “%(sentence)s”")
            when = {"when": exact_moment(change.at), "sentence": sentence_of(change)}
            raise CannotUndo(text % when)
        without_effect.add(change.undoes)
