"""Which actions of the admin require recent authentication: all but the exempt ones.

Exempt are actions that only read, and actions that take access away and are easily undone (disable,
end sessions, revoke, withdraw): in an incident an administrator must be able to do those at once.
An action that grants a role, widens access, hands out a secret, bans, or cannot be undone is never
exempt. Each table names its exceptions in `exempt_pages` and `exempt_actions`. A table without
them, such as one of an app that you add, requires recent authentication for each change.
"""

from collections.abc import Iterable
from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.admin.site_pages import act_of, exempt_pages

READING = ("GET", "HEAD", "OPTIONS", "TRACE")
# Pages of the site itself: they only show something or redirect, whatever is posted to them. A
# saved view is a link of the administrator's own.
SITE_PAGES = frozenset(
    {"index", "login", "logout", "password_change", "password_change_done", "autocomplete",
     "jsi18n", "view_on_site", "app_list", "view_save", "view_remove"}
)  # fmt: skip


def is_sensitive(request: HttpRequest, tables: Iterable["ModelAdmin[Any]"]) -> bool:
    """Whether this request of the admin requires recent authentication."""
    if request.method in READING:
        return False
    name = request.resolver_match.url_name if request.resolver_match else None
    if name in SITE_PAGES or name in exempt_pages():
        return False
    for table in tables:
        if name == f"{table.opts.app_label}_{table.opts.model_name}_changelist":
            return _runs_sensitive_action(request, table)
        if name in getattr(table, "exempt_pages", ()):
            return False
    return True


# What the pages of one row do, by the end of their URL name.
_LABELS: dict[str, Any] = {
    "add": _("Add"),
    "change": _("Change"),
    "delete": _("Delete"),
    "reset": _("Start password reset"),
    "reset-factors": _("Reset second factors"),
    "enable": _("Enable"),
    "verify": _("Mark address as verified"),
    "edit": _("Change the appearance"),
    "undo": _("Undo"),
    "rotate": _("Replace the secret"),
}
MAX_NAMES = 3


def describe(request: HttpRequest, tables: Iterable["ModelAdmin[Any]"]) -> str:
    """What this request would do, and to whom: "Delete: Nina Berg (nina@example.com)".

    "" if that is not known.
    """
    name = (request.resolver_match.url_name or "") if request.resolver_match else ""
    if act := act_of(name):
        return _sentence(act, [str(each) for each in _arguments(request).values()])
    for table in tables:
        prefix = f"{table.opts.app_label}_{table.opts.model_name}_"
        if name == f"{prefix}changelist":
            action = table.get_actions(request).get(request.POST.get("action", ""))
            ticks = request.POST.getlist(ACTION_CHECKBOX_NAME)
            return _sentence(action[2], _names(table, request, ticks)) if action else ""
        labels = _LABELS | getattr(table, "page_labels", {})
        label = labels.get(name.removeprefix(prefix)) if name.startswith(prefix) else None
        if label is not None and request.resolver_match is not None:
            return _sentence(label, _names(table, request, _row_of(request.resolver_match.kwargs)))
    return ""


def _arguments(request: HttpRequest) -> dict[str, Any]:
    return request.resolver_match.kwargs if request.resolver_match else {}


def _row_of(arguments: dict[str, Any]) -> list[str]:
    """The id in the URL of the page of one row."""
    return [str(arguments[name]) for name in ("object_id", "key") if name in arguments]


def _names(table: "ModelAdmin[Any]", request: HttpRequest, keys: list[str]) -> list[str]:
    """The names of the first rows; none if a key is not one of this table."""
    try:
        found = table.get_queryset(request).filter(**{f"{_key_field(table)}__in": keys[:MAX_NAMES]})
        names = [getattr(table, "name_in_confirmation", _name_of)(row) for row in found]
    except (ValidationError, ValueError, TypeError):
        return []
    hidden = len(keys) - len(names)
    more = ngettext("%(count)d more", "%(count)d more", hidden) % {"count": hidden}
    return [*names, more] if names and hidden > 0 else names


def _key_field(table: "ModelAdmin[Any]") -> str:
    return str(getattr(table, "tick_field", "pk"))


def _name_of(row: Any) -> str:
    name = getattr(row, "name", "")
    return f"{name} ({row})" if name and isinstance(name, str) and name != str(row) else str(row)


def _sentence(label: Any, names: list[str]) -> str:
    return f"{label}: {', '.join(names)}" if names else str(label)


def _runs_sensitive_action(request: HttpRequest, table: "ModelAdmin[Any]") -> bool:
    """Read `action` as Django does: SingleValueMiddleware refuses a second value."""
    if "_save" in request.POST:
        return True  # from a list with editable cells
    if ACTION_CHECKBOX_NAME not in request.POST:
        return False  # nothing is selected, so nothing runs
    action = request.POST.get("action", "")
    return bool(action) and action not in getattr(table, "exempt_actions", ())
