"""The roles, and who may manage whom. Pure: no database, no settings, no clock."""

from enum import StrEnum

from core.app_labels import OWN_APPS


class Role(StrEnum):
    """The role of a user. NONE, below viewer, may sign in but has no access to any app."""

    OWNER = "owner"
    ADMIN = "admin"
    EDITOR = "editor"
    VIEWER = "viewer"
    NONE = "none"

    @property
    def rank(self) -> int:
        """For comparing: owner 4 … none 0."""
        return _RANKS[self]


_RANKS = {Role.OWNER: 4, Role.ADMIN: 3, Role.EDITOR: 2, Role.VIEWER: 1, Role.NONE: 0}
BY_RANK = tuple(sorted(Role, key=lambda role: -role.rank))
# The roles of administrators, who may open the admin and manage users.
ADMIN_ROLES = (Role.OWNER, Role.ADMIN)


def can_manage(actor: Role, target: Role) -> bool:
    """Whether `actor` may manage an account with the role `target` (CONTRACT section 4).

    Administrators manage strictly lower ranks; owners also manage owners. The last-owner rule
    depends on other rows, so it is checked where the change is written, under a lock.
    """
    if actor not in ADMIN_ROLES:
        return False
    return actor.rank > target.rank or actor == target == Role.OWNER


def can_give(actor: Role, role: Role) -> bool:
    """Whether `actor` may give `role` to an account: roles below their own; owners give any."""
    return can_manage(actor, role)


def grantable(actor: Role) -> tuple[Role, ...]:
    """The roles that `actor` may give, highest first."""
    return tuple(role for role in BY_RANK if can_give(actor, role))


def allows(role: Role, app_label: str, codename: str) -> bool:
    """Whether `role` has Django's permission `app_label.codename`.

    In apps that a team adds, viewers may view, and editors may also add, change and delete.
    Gatehouse's own models are for administrators; can_manage() decides about single users.
    """
    if app_label in PROTECTED_APPS:
        return role in ADMIN_ROLES
    needed = Role.VIEWER if codename.startswith("view_") else Role.EDITOR
    return role.rank >= needed.rank


# Our own apps, and those of Django and allauth whose models grant access.
PROTECTED_APPS = OWN_APPS | {"account", "socialaccount", "auth", "sessions"}
