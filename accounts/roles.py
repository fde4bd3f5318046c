"""The four roles and who may do what to whom. Pure: no database, no settings, no clock."""

from enum import StrEnum

from core.app_labels import OWN_APPS


class Role(StrEnum):
    """A person's role; below viewer, NONE may sign in and passes no door of an app."""

    OWNER = "owner"
    ADMIN = "admin"
    EDITOR = "editor"
    VIEWER = "viewer"
    NONE = "none"

    @property
    def rank(self) -> int:
        """Order for comparison: owner 4 … none 0."""
        return _RANKS[self]


_RANKS = {Role.OWNER: 4, Role.ADMIN: 3, Role.EDITOR: 2, Role.VIEWER: 1, Role.NONE: 0}
BY_RANK = tuple(sorted(Role, key=lambda role: -role.rank))
# Roles that make somebody an operator: they enter the admin panel and manage users.
ADMIN_ROLES = (Role.OWNER, Role.ADMIN)


def can_manage(actor: Role, target: Role) -> bool:
    """May `actor` act on an account of role `target`? (CONTRACT section 4)

    Operators act on strictly lower ranks; owners also on owners. The last-owner rule is
    checked where the change is written, under a lock, because it depends on other rows.
    """
    if actor not in ADMIN_ROLES:
        return False
    return actor.rank > target.rank or actor == target == Role.OWNER


def can_give(actor: Role, role: Role) -> bool:
    """May `actor` give `role` to somebody? Only below his own; an owner gives any."""
    return can_manage(actor, role)


def grantable(actor: Role) -> tuple[Role, ...]:
    """The roles `actor` may give, highest first."""
    return tuple(role for role in BY_RANK if can_give(actor, role))


def allows(role: Role, app_label: str, codename: str) -> bool:
    """Does `role` hold Django's permission `app_label.codename`?

    Django's permissions are derived here and nowhere else. Apps a team adds: viewers view,
    editors add, change and delete. Gatehouse's own tables belong to operators; what each
    may do to a given row is decided by can_manage().
    """
    if app_label in PROTECTED_APPS:
        return role in ADMIN_ROLES
    needed = Role.VIEWER if codename.startswith("view_") else Role.EDITOR
    return role.rank >= needed.rank


# Ours, and those of Django and allauth whose tables say who may do what.
PROTECTED_APPS = OWN_APPS | {"account", "socialaccount", "auth", "sessions"}
