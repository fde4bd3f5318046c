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
from django.http import HttpRequest

READING = ("GET", "HEAD", "OPTIONS", "TRACE")
# Pages of the site itself: they only show something or redirect, whatever is posted to them.
SITE_PAGES = frozenset(
    {"index", "login", "logout", "password_change", "password_change_done", "autocomplete",
     "jsi18n", "view_on_site", "app_list"}
)  # fmt: skip


def is_sensitive(request: HttpRequest, tables: Iterable["ModelAdmin[Any]"]) -> bool:
    """Whether this request of the admin requires recent authentication."""
    if request.method in READING:
        return False
    name = request.resolver_match.url_name if request.resolver_match else None
    if name in SITE_PAGES:
        return False
    for table in tables:
        if name == f"{table.opts.app_label}_{table.opts.model_name}_changelist":
            return _runs_sensitive_action(request, table)
        if name in getattr(table, "exempt_pages", ()):
            return False
    return True


def _runs_sensitive_action(request: HttpRequest, table: "ModelAdmin[Any]") -> bool:
    """Read `action` as Django does: SingleValueMiddleware refuses a second value."""
    if "_save" in request.POST:
        return True  # from a list with editable cells
    if ACTION_CHECKBOX_NAME not in request.POST:
        return False  # nothing is selected, so nothing runs
    action = request.POST.get("action", "")
    return bool(action) and action not in getattr(table, "exempt_actions", ())
