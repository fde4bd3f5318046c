"""Creating, changing and deleting groups, for administrators.

A group gives access, so the rules of rank hold: who deletes one may manage everyone whom an
administrator put into it, and only an owner deletes one that something depends on. All changes are
made under the lock of roles.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.models import DeletedGroup, Group, Membership, User
from accounts.models.groups import MANUAL
from accounts.roles import ADMIN_ROLES, Role
from accounts.services.groups.names import clean_fields
from accounts.services.groups.uses import uses_of
from accounts.services.ranks import require_rank
from audit import audit_log
from core.errors import Forbidden, NotFound, RecordInvalid
from core.locks import ROLES, acquire_lock

FIELDS = ("name", "label", "description")
MAX_GROUPS = 500


def create_group(*, actor: Actor, name: str, label: str = "", description: str = "") -> Group:
    """Create a group. Raises Forbidden, RecordInvalid with all errors."""
    require_admin(actor)
    group = Group(name=name, label=label, description=description)
    with transaction.atomic():
        acquire_lock(ROLES)
        _validate(group)
        if Group.objects.count() >= MAX_GROUPS:
            raise RecordInvalid(
                {"name": [_("There may be %(most)d groups at most.") % {"most": MAX_GROUPS}]}
            )
        group.save(force_insert=True)
        audit_log.record("account:group:create", actor=actor, target=group, name=group.name)
    return group


def change_group(*, actor: Actor, group: Group, changes: dict[str, str]) -> Group:
    """Store some of name, label and description. Without a change, nothing is written.

    Rules and apps name a group by its id, so they follow a new name. Headers and tokens carry the
    new one at once. Settings name a group by its name: only owners let it become, or stop being,
    the one that a setting means. Raises Forbidden, NotFound, RecordInvalid.
    """
    require_admin(actor)
    with transaction.atomic():
        current = lock_group(group)
        before, uses = values_of(current), uses_of(current)
        for field, value in changes.items():
            setattr(current, field, value)
        _validate(current)
        if Role(actor.role) is not Role.OWNER and uses_of(current) != uses:
            raise Forbidden(_("A setting names this group. Only owners give it another name."))
        after = values_of(current)
        changed = [field for field in FIELDS if before[field] != after[field]]
        if changed:
            current.save(update_fields=changed)
            audit_log.record(
                "account:group:change",
                actor=actor,
                target=current,
                name=before["name"],
                before={field: before[field] for field in changed},
                after={field: after[field] for field in changed},
            )
    return current


def require_deletable(actor: Actor, group: Group) -> None:
    """Raise Forbidden unless `actor` may delete the group, whatever depends on it."""
    require_admin(actor)
    if Role(actor.role) is not Role.OWNER and uses_of(group):
        raise Forbidden(_("Only owners delete a group that something depends on."))
    manual = Membership.objects.filter(group=group, source=MANUAL).select_related("user")
    for row in manual.iterator():
        require_rank(actor, row.user)


def delete_group(*, actor: Actor, group: Group, confirmed: bool = False) -> None:
    """Delete a group. Everyone leaves it; a rule that asks for it alone then admits nobody.

    confirmed: also if something depends on it, which is refused otherwise. Raises Forbidden,
    NotFound, RecordInvalid.
    """
    with transaction.atomic():
        current = lock_group(group)
        require_deletable(actor, current)
        uses = uses_of(current)
        if uses and not confirmed:
            named = ", ".join(use.what for use in uses)
            raise RecordInvalid(
                {"confirm": [_("This depends on the group: %(uses)s.") % {"uses": named}]}
            )
        key, members = current.pk, [_member(row) for row in current.memberships.all()]
        current.delete()
        current.pk = key
        DeletedGroup.objects.filter(pk=key).delete()
        DeletedGroup.objects.create(pk=key, members=members)
        audit_log.record(
            "account:group:delete",
            actor=actor,
            target=current,
            name=current.name,
            before=values_of(current),
            count=len({member["user"] for member in members}),
        )


def restore_group(
    *, actor: Actor, key: UUID, values: dict[str, str], members: Iterable[dict[str, Any]]
) -> Group:
    """Create a deleted group again with its id, so that rules know it, and put its members back.

    Memberships that have ended, and people who no longer exist, are left out. Raises Forbidden,
    RecordInvalid.
    """
    require_admin(actor)
    group = Group(pk=key, **values)
    with transaction.atomic():
        acquire_lock(ROLES)
        _validate(group)
        rows = restored_members(group, members)
        for row in rows:
            require_rank(actor, row.user)
        group.save(force_insert=True)
        Membership.objects.bulk_create(rows)
        audit_log.record(
            "account:group:restore", actor=actor, target=group, name=group.name, count=len(rows)
        )
    return group


def restored_members(group: Group, members: Iterable[dict[str, Any]]) -> list[Membership]:
    """The memberships of a deleted group that still count, unsaved."""
    members, now = list(members), timezone.now()
    users = User.objects.in_bulk([UUID(member["user"]) for member in members])
    rows = [
        Membership(
            user=users[UUID(member["user"])],
            group=group,
            source=member["source"],
            until=datetime.fromisoformat(member["until"]) if member["until"] else None,
        )
        for member in members
        if UUID(member["user"]) in users
    ]
    return [row for row in rows if row.until is None or row.until > now]


def require_admin(actor: Actor) -> None:
    """Raise Forbidden unless the actor is an administrator."""
    if actor.role not in ADMIN_ROLES:
        raise Forbidden(_("Only administrators manage groups."))


def lock_group(group: Group) -> Group:
    """The current row, under the lock of roles. Raises NotFound for a deleted group."""
    acquire_lock(ROLES)
    current = Group.objects.filter(pk=group.pk).first()
    if current is None:
        raise NotFound(_("This group does not exist any more."))
    return current


def values_of(group: Group) -> dict[str, str]:
    """The fields that people choose."""
    return {field: getattr(group, field) for field in FIELDS}


def _member(row: Membership) -> dict[str, Any]:
    until = None if row.until is None else row.until.isoformat()
    return {"user": str(row.user_id), "source": row.source, "until": until}


def _validate(group: Group) -> None:
    """Set the fields to their stored form. Call under the lock of roles: names are unique."""
    cleaned, errors = clean_fields(values_of(group))
    for field, value in cleaned.items():
        setattr(group, field, value)
    others = Group.objects.exclude(pk=group.pk)
    if "name" not in errors and others.filter(name=group.name).exists():
        errors["name"] = [_("Another group has this name.")]
    if errors:
        raise RecordInvalid(errors)
