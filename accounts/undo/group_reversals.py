"""How changes of groups are taken back; see accounts.undo.registry."""

from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.actors import Actor
from accounts.models import DeletedGroup, Group, Membership, User
from accounts.models.groups import MANUAL
from accounts.services.end_dates import audit_time
from accounts.services.groups import changes, members
from accounts.services.ranks import require_rank
from accounts.undo.registry import Reversal, never_undone, undoes
from audit.models import AuditEvent
from audit.sentences import rule_text
from core.errors import CannotUndo
from core.locks import ROLES, acquire_lock
from core.text.time_display import exact_moment

CONTENT = ("account:group:change", "account:group:delete", "account:group:restore")
MEMBERSHIP = (
    *("account:membership:add", "account:membership:limit", "account:membership:remove"),
    "account:membership:end",
)


def lock_groups(_event: AuditEvent) -> None:
    """Lock what every change of groups locks first."""
    acquire_lock(ROLES)


def _same_membership(event: AuditEvent) -> "QuerySet[AuditEvent]":
    return AuditEvent.objects.filter(
        target_id=event.target_id,
        action__in=MEMBERSHIP,
        detail__group_id=event.detail.get("group_id"),
    )


@undoes("account:membership:add", "account:membership:limit", later=_same_membership)
def undo_add(event: AuditEvent) -> Reversal:
    """Take the person out of the group again, or give back the earlier end."""
    user, group = _person(event), _group_of(event)
    row = Membership.objects.filter(user=user, group=group, source=MANUAL).first()
    if row is None or _end(row) != event.detail.get("until", ""):
        raise _changed()
    now = _member_text(row.until)
    if "before_until" not in event.detail:
        return _reversal(user, group, now, _("not in it"), until=None, is_member=False)
    until = _future(event.detail["before_until"])
    return _reversal(user, group, now, _member_text(until), until=until, is_member=True)


@undoes("account:membership:remove", later=_same_membership)
def undo_remove(event: AuditEvent) -> Reversal:
    """Put the person into the group again, with the end that there was."""
    user, group = _person(event), _group_of(event)
    if Membership.objects.filter(user=user, group=group, source=MANUAL).exists():
        raise _changed()
    until = _future(event.detail.get("before_until"))
    return _reversal(user, group, _("not in it"), _member_text(until), until=until, is_member=True)


@undoes("account:group:change", changed_by=CONTENT, lock=lock_groups)
def undo_change(event: AuditEvent) -> Reversal:
    """Give back the earlier name, label and description."""
    group = Group.objects.filter(pk__in=[event.target_id]).first()
    if group is None:
        raise CannotUndo(_("This group does not exist any more."))
    before, after = event.detail["before"], event.detail["after"]
    now = {field: value for field, value in changes.values_of(group).items() if field in after}
    if now != after:
        raise _changed()
    return Reversal(
        _("Group “%(name)s”") % {"name": group.name},
        rule_text(now),
        rule_text(before),
        lambda actor: changes.change_group(actor=actor, group=group, changes=before),
        changes.require_admin,
        _("Apps that read the name of the group get the earlier one.") if "name" in before else "",
    )


@undoes("account:group:delete", changed_by=CONTENT, lock=lock_groups)
def undo_delete(event: AuditEvent) -> Reversal:
    """Create the group again, with its id and its members."""
    key, before = event.target_id, event.detail["before"]
    deleted = DeletedGroup.objects.filter(pk__in=[key]).first()
    if key is None or deleted is None:
        raise CannotUndo(_("Who was in the group is not stored any more."))
    if Group.objects.filter(pk=key).exists() or Group.objects.filter(name=before["name"]).exists():
        raise CannotUndo(_("There is a group of this name already."))
    rows = changes.restored_members(Group(pk=key), deleted.members)

    def put_back(actor: Actor) -> Group:
        return changes.restore_group(actor=actor, key=key, values=before, members=deleted.members)

    def allow(actor: Actor) -> None:
        changes.require_admin(actor)
        for row in rows:
            require_rank(actor, row.user)

    return Reversal(
        _("Group “%(name)s”") % {"name": before["name"]},
        _("deleted"),
        _("there, with %(count)d people in it") % {"count": len({row.user_id for row in rows})},
        put_back,
        allow,
        _("Rules that name the group admit its people again."),
    )


never_undone(
    "account:group:create",
    because=gettext_lazy("people may be in the group since. Delete it on its page instead."),
)
never_undone(
    "account:group:restore",
    because=gettext_lazy("it was itself an undo. Delete the group on its page instead."),
)
never_undone(
    "account:membership:end",
    because=gettext_lazy("the time is up. Add the person again on the page of the group."),
)


def _reversal(
    user: User, group: Group, now: str, then: str, *, until: datetime | None, is_member: bool
) -> Reversal:
    def run(actor: Actor) -> object:
        if not is_member:
            return members.remove_member(actor=actor, user=user, group=group)
        return members.add_member(actor=actor, user=user, group=group, until=until)

    return Reversal(
        _("%(name)s in the group “%(group)s”")
        % {"name": user.get_full_name(), "group": group.name},
        now,
        then,
        run,
        lambda actor: require_rank(actor, user),
    )


def _person(event: AuditEvent) -> User:
    if event.detail.get("source"):
        raise CannotUndo(_("The directory or a provider made this change; change it there."))
    user: User | None = User.objects.filter(pk=event.target_id).first()
    if user is None:
        raise CannotUndo(_("This account does not exist any more."))
    return user


def _group_of(event: AuditEvent) -> Group:
    group = Group.objects.filter(pk=UUID(event.detail["group_id"])).first()
    if group is None:
        raise CannotUndo(_("This group does not exist any more."))
    return group


def _changed() -> CannotUndo:
    return CannotUndo(_("It is no longer as this change left it."))


def _end(row: Membership) -> str:
    return "" if row.until is None else audit_time(row.until)


def _future(end: str | None) -> datetime | None:
    """An end of the audit log. Raises CannotUndo if it has passed."""
    if end is None:
        return None
    found = datetime.fromisoformat(end)
    if found <= timezone.now():
        raise CannotUndo(_("The earlier end has passed."))
    return found


def _member_text(until: datetime | None) -> str:
    if until is None:
        return _("in it")
    return _("in it until %(end)s") % {"end": exact_moment(until)}
