"""Which role SCIM gives an account: settings.SCIM_ROLES and SCIM_DEFAULT_ROLE, below the key's."""

from collections.abc import Iterable

from django.conf import settings

from accounts.models import Group, User
from accounts.roles import Role, can_give, grantable
from accounts.services import users
from accounts.services.groups.uses import GroupUse
from scim.resources import SOURCE


def default_role(actor: User) -> Role:
    """The role of a new account."""
    return _below(Role(actor.role), Role(settings.SCIM_DEFAULT_ROLE))


def sync_role(actor: User, user: User, *, joined: Group | None = None) -> None:
    """Give the role that the groups of SCIM ask for. The account is locked.

    Without SCIM_ROLES_MAPPING nothing changes. A role that an administrator keeps, or has given
    until a time, stays. Raises Forbidden.

    joined: the group into which this change puts the person. Only with it they get a role that
    owners alone give: an administrator's key may have put them into the others, and the next
    change by an owner's key does not complete what that key could not do.
    """
    current = User.objects.get(pk=user.pk)
    if not settings.SCIM_ROLES or current.role_locked or current.role_until is not None:
        return
    rows = Group.objects.filter(memberships__user=current, memberships__source=SOURCE)
    wanted = _below(Role(actor.role), mapped_role(rows.values_list("name", "label")))
    given = mapped_role([(joined.name, joined.label)] if joined else [])
    if wanted.rank > max(given.rank, Role(current.role).rank):
        wanted = max(given, _below(Role.ADMIN, wanted), key=lambda each: each.rank)
    if current.role != wanted:
        users.change_role(actor=actor, user=current, role=wanted, reason=SOURCE)


def mapped_role(groups: Iterable[tuple[str, str]]) -> Role:
    """The highest role of the groups, as (name, label); the default without one."""
    names = {text.casefold() for pair in groups for text in pair if text}
    found = [role for group, role in settings.SCIM_ROLES if group.casefold() in names]
    return max(found, key=lambda role: role.rank, default=Role(settings.SCIM_DEFAULT_ROLE))


def settings_with(group: Group) -> list[GroupUse]:
    """The setting, if it gives a role to the group that only owners give."""
    names = {text.casefold() for text in (group.name, group.label) if text}
    return [
        GroupUse(f"SCIM_ROLES_MAPPING ({role})")
        for name, role in settings.SCIM_ROLES
        if name.casefold() in names and not can_give(Role.ADMIN, role)
    ]


def _below(giver: Role, role: Role) -> Role:
    """The role, or the highest one that `giver` may give."""
    highest = max(grantable(giver), key=lambda each: each.rank)
    return min(role, highest, key=lambda each: each.rank)
