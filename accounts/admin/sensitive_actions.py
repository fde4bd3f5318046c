"""Which acts of the panel want a recent proof of who is there. All do that are not named as exempt.

Exempt is what only looks, and what takes something away from somebody in a way that the next click
can undo (disable, end sessions, revoke, withdraw): an operator must be able to do that at once.
Whatever gives power, widens access, hands a secret over, bans or cannot be undone is not exempt.
Each table says so itself, in `exempt_pages` and `exempt_actions`; a table or page that says
nothing, as of an app that a team adds, asks for the proof with each change.
"""

from collections.abc import Iterable
from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest

READING = ("GET", "HEAD", "OPTIONS", "TRACE")
# Pages of the site itself: they show or lead away, whatever is posted to them.
SITE_PAGES = frozenset(
    {"index", "login", "logout", "password_change", "password_change_done", "autocomplete",
     "jsi18n", "view_on_site", "app_list"}
)  # fmt: skip


def is_sensitive(request: HttpRequest, tables: Iterable["ModelAdmin[Any]"]) -> bool:
    """Does this request of the panel ask for an act that wants a recent proof?"""
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
    """Read as Django reads it: SingleValueMiddleware has refused a second `action`."""
    if "_save" in request.POST:
        return True  # of a list whose cells can be edited
    if ACTION_CHECKBOX_NAME not in request.POST:
        return False  # nothing is ticked, so nothing runs
    action = request.POST.get("action", "")
    return bool(action) and action not in getattr(table, "exempt_actions", ())
