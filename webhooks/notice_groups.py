"""Which events of the audit log administrators can get by mail, in groups. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _

Detail = Mapping[str, Any]
ADMIN_ROLES = frozenset({"admin", "owner"})
# What a key with one of these scopes may do concerns others.
ADMIN_SCOPES = frozenset({"users", "moderation", "service", "scim"})


class NoticeGroup(NamedTuple):
    """One choice. tells: (action, result) of the audit log -> whether these details count."""

    text: Any
    tells: Mapping[tuple[str, str], Callable[[Detail], bool]]


def _always(_detail: Detail) -> bool:
    return True


def _waits(detail: Detail) -> bool:
    return detail.get("role") == "none"


def _gives_admin_role(detail: Detail) -> bool:
    return detail.get("after", detail.get("role")) in ADMIN_ROLES


def _takes_admin_role(detail: Detail) -> bool:
    return detail.get("before") in ADMIN_ROLES


def _changes_admin_role(detail: Detail) -> bool:
    return _gives_admin_role(detail) or _takes_admin_role(detail)


def _has_admin_scope(detail: Detail) -> bool:
    return bool(ADMIN_SCOPES & set(detail.get("scopes") or ()))


GROUPS: dict[str, NoticeGroup] = {
    "waiting": NoticeGroup(
        _("A new account waits for access"), {("account:user:create", "success"): _waits}
    ),
    "accounts": NoticeGroup(
        _("An account is created"), {("account:user:create", "success"): _always}
    ),
    "admins": NoticeGroup(
        _("Someone becomes owner or admin, or is no longer one"),
        {
            ("account:user:create", "success"): _gives_admin_role,
            ("account:role:change", "success"): _changes_admin_role,
            ("account:role:limit", "success"): _changes_admin_role,
        },
    ),
    "removed": NoticeGroup(
        _("An account is disabled or deleted, or loses all access"),
        {
            ("account:user:disable", "success"): _always,
            ("account:user:delete", "success"): _always,
            ("account:user:offboard", "success"): _always,
        },
    ),
    "factors": NoticeGroup(
        _("An administrator removes the second factors of an account"),
        {("account:factor:reset", "success"): _always},
    ),
    "bans": NoticeGroup(_("A ban begins"), {("moderation:ban:start", "success"): _always}),
    "keys": NoticeGroup(
        _("An API key is made that may manage users or moderation, or act for an app"),
        {("api:key:create", "success"): _has_admin_scope},
    ),
    "webhooks": NoticeGroup(
        _("A webhook is disabled because its receiver fails"),
        {("webhook:endpoint:disable", "success"): _always},
    ),
}
# For administrators who have not chosen.
DEFAULT_GROUPS = ("webhooks",)
ACTIONS = frozenset(action for group in GROUPS.values() for action, _result in group.tells)


def is_told(groups: list[str], action: str, result: str, detail: Any) -> bool:
    """Whether an event belongs to one of these groups. Unknown groups are ignored."""
    details = detail if isinstance(detail, dict) else {}
    return any(
        tells(details)
        for name in groups
        if name in GROUPS and (tells := GROUPS[name].tells.get((action, result))) is not None
    )
