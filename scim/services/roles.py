"""Which role SCIM gives an account: settings.SCIM_ROLES and SCIM_DEFAULT_ROLE, below the key's."""

from collections.abc import Iterable

from django.conf import settings

from accounts.models import Group, User
from accounts.roles import Role, grantable
from accounts.services import users
from scim.resources import SOURCE


def default_role(actor: User) -> Role:
    """The role of a new account."""
    return _below(actor, Role(settings.SCIM_DEFAULT_ROLE))


def sync_role(actor: User, user: User) -> None:
    """Give the role that the groups of SCIM ask for. The account is locked.

    Without SCIM_ROLES_MAPPING nothing changes. A role that an administrator keeps, or has given
    until a time, stays. Raises Forbidden.
    """
    current = User.objects.get(pk=user.pk)
    if not settings.SCIM_ROLES or current.role_locked or current.role_until is not None:
        return
    rows = Group.objects.filter(memberships__user=current, memberships__source=SOURCE)
    wanted = _below(actor, mapped_role(rows.values_list("name", "label")))
    if current.role != wanted:
        users.change_role(actor=actor, user=current, role=wanted, reason=SOURCE)


def mapped_role(groups: Iterable[tuple[str, str]]) -> Role:
    """The highest role of the groups, as (name, label); the default without one."""
    names = {text.casefold() for pair in groups for text in pair if text}
    found = [role for group, role in settings.SCIM_ROLES if group.casefold() in names]
    return max(found, key=lambda role: role.rank, default=Role(settings.SCIM_DEFAULT_ROLE))


def _below(actor: User, role: Role) -> Role:
    """The role, or the highest one that the actor may give."""
    highest = max(grantable(Role(actor.role)), key=lambda each: each.rank)
    return min(role, highest, key=lambda each: each.rank)
