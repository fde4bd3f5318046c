"""Groups that a client of SCIM creates, changes and deletes.

Its members are the memberships of the source `scim`: what administrators, sign-ins or a directory
said stays. Who has a higher rank than the key, and owners, cannot be put into a group or taken out.
"""

import json
from collections.abc import Callable, Iterable
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.group_names import RESERVED_NAMES
from accounts.models import Group, User
from accounts.services.groups import changes as groups
from accounts.services.groups.sources import change_members_of_source
from accounts.services.groups.uses import uses_of
from audit import audit_log
from core.errors import NotFound, RecordInvalid
from core.locks import ROLES, acquire_lock, lock_users
from scim.errors import InvalidValue, TooMany, Uniqueness, shown
from scim.models import ScimGroup
from scim.queries import filtered
from scim.resources import (
    SOURCE,
    Resource,
    group_resource,
    record_of,
    visible_groups,
    visible_users,
)
from scim.schemas import GROUP
from scim.services.roles import sync_role
from scim.services.users import require_manageable
from scim.services.versions import require_version
from scim.values import GroupValues, group_name, group_values

Change = Callable[[Resource], Resource]
# Members that one request may add and remove.
MAX_CHANGES = 1000


def find_group(group_id: UUID) -> Group:
    """A group of SCIM. Raises NotFound."""
    found: Group | None = visible_groups().filter(pk=group_id).first()
    if found is None:
        raise NotFound
    return found


def create_group(*, actor: User, resource: Resource) -> Group:
    """Create a group with its members; or show the one again that the client has deleted.

    Raises InvalidValue, Uniqueness, Forbidden, TooMany.
    """
    values = group_values(resource)
    with transaction.atomic():
        people = _members_of(values.members)
        _lock(people)
        _require_free(values, None)
        group = _released(values)
        if group is None:
            taken = Group.objects.values_list("name", flat=True)
            name = group_name(values.display_name, RESERVED_NAMES | frozenset(taken))
            label = "" if name == values.display_name else values.display_name
            group = _checked(lambda: groups.create_group(actor=actor, name=name, label=label))
            ScimGroup.objects.create(group=group, external_id=values.external_id, is_own=True)
        else:
            group.scim.released_at, group.scim.external_id = None, values.external_id
            group.scim.save(update_fields=["released_at", "external_id"])
        _change_members(actor, group, added=people, removed=[])
    return find_group(group.pk)


def change_group(*, actor: User, group_id: UUID, change: Change, if_match: str = "") -> Group:
    """Make the group what `change` makes of its resource; all of it, or nothing.

    Only the members that the client added or removed are written, so two clients that do so at the
    same time do not undo each other. Raises NotFound, Forbidden, PreconditionFailed, InvalidValue,
    Uniqueness, TooMany, and what `change` raises.
    """
    with transaction.atomic():
        before = group_resource(find_group(group_id))
        values = group_values(change(before))
        held = {member["value"] for member in before.get("members", [])}
        added = _members_of([key for key in values.members if key not in held])
        removed = _members_of(held.difference(values.members))
        _lock([*added, *removed])
        group = find_group(group_id)
        require_version(group_resource(group), if_match)
        _rename(actor, group, values)
        _save_record(actor, group, values)
        _change_members(actor, group, added=added, removed=removed)
    return find_group(group_id)


def delete_group(*, actor: User, group_id: UUID, if_match: str = "") -> None:
    """Take everyone out whom SCIM has put in, and show the group to SCIM no more.

    The group itself goes if SCIM made it, nothing depends on it, and nobody else is in it. Raises
    NotFound, Forbidden, PreconditionFailed, TooMany.
    """
    with transaction.atomic():
        rows = find_group(group_id).memberships.filter(source=SOURCE).select_related("user")
        people = [row.user for row in rows.order_by("user_id")]
        _lock(people)
        group = find_group(group_id)
        require_version(group_resource(group), if_match)
        groups.require_admin(actor)
        record = record_of(group) or ScimGroup(group=group)
        record.released_at = timezone.now()
        record.save()
        _change_members(actor, group, added=[], removed=people)
        if record.is_own and not uses_of(group) and not group.memberships.exists():
            groups.delete_group(actor=actor, group=group)
        else:
            audit_log.record("scim:group:release", actor=actor, target=group, name=group.name)


def _lock(people: list[User]) -> None:
    """Lock all accounts first, and then the roles, under which groups change."""
    if len(people) > MAX_CHANGES:
        raise TooMany(f"Change at most {MAX_CHANGES} members in one request.")
    lock_users(*(user.pk for user in people))
    acquire_lock(ROLES)


def _members_of(keys: Iterable[str]) -> list[User]:
    """The users with these ids. Raises InvalidValue for one that there is not."""
    wanted = sorted(set(keys))
    if len(wanted) > MAX_CHANGES:
        raise TooMany(f"Change at most {MAX_CHANGES} members in one request.")
    found = {str(user.pk): user for user in visible_users().filter(pk__in=_ids(wanted))}
    missing = [key for key in wanted if key not in found]
    if missing:
        raise InvalidValue(f"members: there is no user {shown(missing[0])}.")
    return [found[key] for key in wanted]


def _ids(keys: Iterable[str]) -> list[UUID]:
    found = []
    for key in keys:
        try:
            found.append(UUID(key))
        except ValueError:
            continue
    return found


def _change_members(actor: User, group: Group, *, added: list[User], removed: list[User]) -> None:
    for user in (*added, *removed):
        user.refresh_from_db()
        require_manageable(actor, user)
    try:
        change_members_of_source(
            actor=actor, group=group, source=SOURCE, added=added, removed=removed
        )
    except RecordInvalid as error:
        raise InvalidValue(error.sentences) from None
    for user in added:
        sync_role(actor, user, joined=group)
    for user in removed:
        sync_role(actor, user)


def _rename(actor: User, group: Group, values: GroupValues) -> None:
    """A new displayName is a new label. The name, which rules and apps read, stays."""
    if values.display_name == str(group):
        return
    _require_free(values, group)
    label = "" if values.display_name == group.name else values.display_name
    _checked(lambda: groups.change_group(actor=actor, group=group, changes={"label": label}))


def _save_record(actor: User, group: Group, values: GroupValues) -> None:
    record = record_of(group) or ScimGroup(group=group)
    if record.external_id == values.external_id and not record._state.adding:
        return
    groups.require_admin(actor)
    record.external_id = values.external_id
    record.save()
    audit_log.record("scim:group:link", actor=actor, target=group, name=group.name)


def _checked(service: Callable[[], Group]) -> Group:
    """The result of a service of groups, with its errors as ours."""
    try:
        return service()
    except RecordInvalid as error:
        raise InvalidValue(f"displayName: {error.sentences}") from None


def _require_free(values: GroupValues, group: Group | None) -> None:
    """Raise Uniqueness for the displayName of another group that SCIM shows."""
    text = f"displayName eq {_quoted(values.display_name)}"
    others = visible_groups().exclude(pk=None if group is None else group.pk)
    if filtered(others, text, GROUP).exists():
        raise Uniqueness("Another group has this displayName.")


def _quoted(text: str) -> str:
    return json.dumps(text)


def _released(values: GroupValues) -> Group | None:
    """The group of this displayName that the client has deleted, and that stayed."""
    rows = Group.objects.filter(scim__released_at__isnull=False).select_related("scim")
    found = filtered(rows, f"displayName eq {_quoted(values.display_name)}", GROUP)
    group: Group | None = found.order_by("pk").first()
    return group
