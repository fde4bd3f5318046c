"""Users and groups as SCIM shows them, and the version of each."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from accounts.models import Group, Membership, User, UserQuerySet
from scim.models import ScimGroup, ScimUser
from scim.schemas import GROUP, USER, Schema

SOURCE = "scim"
Resource = dict[str, Any]


def base_url() -> str:
    return f"{settings.PUBLIC_URL}/scim/v2"


def location_of(schema: Schema, key: UUID) -> str:
    return f"{base_url()}{schema.endpoint}/{key}"


def visible_users() -> UserQuerySet:
    """People, but those whom a client has deleted. Service accounts are none."""
    found: UserQuerySet = User.objects.all()
    return found.people().filter(Q(scim=None) | Q(scim__released_at=None)).select_related("scim")


def visible_groups() -> Any:
    """Groups, but those that a client has deleted."""
    return Group.objects.filter(Q(scim=None) | Q(scim__released_at=None)).select_related("scim")


def record_of(row: User | Group) -> Any:
    """The row of SCIM, ScimUser or ScimGroup; None without one."""
    try:
        return row.scim
    except (ScimUser.DoesNotExist, ScimGroup.DoesNotExist):
        return None


def name_of(user: User) -> str:
    """The userName."""
    record = record_of(user)
    return record.user_name if record else user.email


def user_resources(users: Iterable[User]) -> list[Resource]:
    """Resources with their groups, by one more query."""
    people = list(users)
    groups: defaultdict[UUID, list[Group]] = defaultdict(list)
    rows = _memberships().filter(user__in=[user.pk for user in people])
    rows = rows.filter(Q(group__scim=None) | Q(group__scim__released_at=None))
    for row in rows.select_related("group").order_by("group__name"):
        groups[row.user_id].append(row.group)
    return [_user_resource(user, groups[user.pk]) for user in people]


def user_resource(user: User) -> Resource:
    return user_resources([user])[0]


def _user_resource(user: User, groups: Sequence[Group]) -> Resource:
    record: ScimUser | None = record_of(user)
    parts = {
        "formatted": user.name if record is None or record.has_name else "",
        "familyName": record.family_name if record else "",
        "givenName": record.given_name if record else "",
    }
    found = {
        "schemas": [USER.urn],
        "id": str(user.pk),
        "externalId": record.external_id if record else "",
        "userName": name_of(user),
        "name": {name: text for name, text in parts.items() if text},
        "displayName": user.name,
        "active": user.is_active,
        "emails": [
            {
                "value": user.email,
                "type": "work",
                "primary": record is None or record.is_primary,
            }
        ],
        "groups": [
            {
                "value": str(group.pk),
                "$ref": location_of(GROUP, group.pk),
                "display": str(group),
                "type": "direct",
            }
            for group in groups
        ],
        "roles": [{"value": user.role, "primary": True}],
    }
    return _finished(found, USER, user)


def group_resources(groups: Iterable[Group], *, with_members: bool) -> list[Resource]:
    """Resources; without their members, they have no version."""
    rows = list(groups)
    members: defaultdict[UUID, list[User]] = defaultdict(list)
    if with_members:
        found = _memberships().filter(group__in=[group.pk for group in rows])
        found = found.filter(user__in=visible_users())
        for row in found.select_related("user").order_by("user_id"):
            members[row.group_id].append(row.user)
    return [_group_resource(group, members[group.pk], with_members) for group in rows]


def group_resource(group: Group) -> Resource:
    return group_resources([group], with_members=True)[0]


def _group_resource(group: Group, members: Sequence[User], has_version: bool) -> Resource:
    record: ScimGroup | None = record_of(group)
    found = {
        "schemas": [GROUP.urn],
        "id": str(group.pk),
        "externalId": record.external_id if record else "",
        "displayName": str(group),
        "members": [
            {
                "value": str(user.pk),
                "$ref": location_of(USER, user.pk),
                "type": "User",
            }
            for user in members
        ],
    }
    return _finished(found, GROUP, group, has_version=has_version)


def _finished(
    found: Resource, schema: Schema, row: User | Group, *, has_version: bool = True
) -> Resource:
    """Without empty values, with `meta`."""
    kept = {name: value for name, value in found.items() if value not in ("", [], {})}
    meta = {
        "resourceType": schema.name,
        "created": row.created_at.isoformat(),
        "location": location_of(schema, row.pk),
    }
    if has_version:
        meta["version"] = version_of(kept)
    return {**kept, "meta": meta}


def version_of(resource: Resource) -> str:
    """A weak entity tag of what the resource says. Equal content has an equal version."""
    content = {name: value for name, value in resource.items() if name != "meta"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:24]}"'


def _memberships() -> Any:
    return Membership.objects.filter(source=SOURCE).current(timezone.now())
