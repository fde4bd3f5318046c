"""Names of roles and mappings to them, as administrators and other systems write them. Pure."""

import json
from typing import NamedTuple

from accounts.roles import BY_RANK, Role
from config.environment.errors import Unreadable
from core.text.plain_text import echo

# LibreChat calls all users who are not admins USER.
OTHER_NAMES = {"user": Role.VIEWER}
MAPPING_FIX = 'write JSON such as {"Team leads": "admin", "Everybody": "viewer"}'
SYNC_ROLES = (Role.EDITOR, Role.VIEWER, Role.NONE)


class GroupRole(NamedTuple):
    """Users in `group` get `role`."""

    group: str
    role: Role


def parse_role(text: str) -> Role:
    """The role that `text` names in any case. Raises Unreadable."""
    folded = text.strip().lower()
    if folded in OTHER_NAMES:
        return OTHER_NAMES[folded]
    try:
        return Role(folded)
    except ValueError:
        names = ", ".join(BY_RANK)
        raise Unreadable(f"{echo(text)} is not a role", f"write one of {names}") from None


def parse_mapping(text: str) -> tuple[GroupRole, ...]:
    """A JSON object from group to role, or to a list of roles of which the highest counts.

    Highest role first, so that it wins for users in several groups. Raises Unreadable.
    """
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        raise Unreadable("is not JSON", MAPPING_FIX) from None
    if not isinstance(found, dict):
        raise Unreadable("is not a JSON object", MAPPING_FIX)
    mapped = [GroupRole(group, _highest(group, roles)) for group, roles in found.items()]
    return tuple(sorted(mapped, key=lambda each: -each.role.rank))


def _highest(group: str, roles: object) -> Role:
    names = roles if isinstance(roles, list) else [roles]
    texts = [name for name in names if isinstance(name, str)]
    if not group or not texts or len(texts) < len(names):
        raise Unreadable(f"gives {echo(group)} something that is not a role", MAPPING_FIX)
    return max((parse_role(name) for name in texts), key=lambda role: role.rank)


def parse_bounded_mapping(text: str) -> tuple[GroupRole, ...]:
    """parse_mapping() without owner, for systems that must not make owners. Raises Unreadable."""
    found = parse_mapping(text)
    if any(entry.role is Role.OWNER for entry in found):
        raise Unreadable("maps a group to owner", "name admin, editor, viewer or none")
    return found


def check_bounded_mapping(text: str) -> str:
    """`text`, when parse_bounded_mapping() can read it."""
    parse_bounded_mapping(text)
    return text


def check_mapping(text: str) -> str:
    """`text`, when parse_mapping() can read it."""
    parse_mapping(text)
    return text


def parse_sync_role(text: str) -> GroupRole:
    """`editor`, or `staff:editor` for a value that is no role here. Never admin or owner."""
    value, _colon, name = text.rpartition(":")
    role = parse_role(name)
    if role not in SYNC_ROLES:
        what = f"{echo(text)} would let a claim make administrators"
        raise Unreadable(what, "name editor, viewer or none here; OPENID_ADMIN_ROLE makes admins")
    return GroupRole(value.strip() or name.strip(), role)


def check_sync_roles(names: list[str]) -> list[str]:
    """`names`, when parse_sync_role() can read each."""
    for name in names:
        parse_sync_role(name)
    return names


def check_fallback(text: str) -> str:
    """A role that a sync may give, as our own name."""
    return parse_sync_role(text).role if text else ""
