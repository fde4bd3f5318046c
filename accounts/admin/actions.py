"""How apps add actions to the user list, and how an action shows a secret on top of it.

One of the seams by which upper rooms extend accounts: see docs/architecture.md.
"""

from collections.abc import Callable
from copy import copy
from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse

from accounts.models import User
from accounts.sent_forms import show_once

Action = Callable[["ModelAdmin[User]", HttpRequest, "QuerySet[User]"], HttpResponse | None]
_actions: dict[str, Action] = {}
_exempt: set[str] = set()
PANEL_MAXIMUM = 100
# The field by which the page in between says that it was answered.
CONFIRMED = "confirmed"


def user_action(
    *, description: Any, permission: str = "change", is_sensitive: bool = True
) -> Callable[[Action], Action]:
    """Add an action to the user list: a function (modeladmin, request, queryset).

    description: the text in the list of actions. permission: "view", "change" or "delete"; the
    service that the action calls decides about each person again. is_sensitive: it wants a fresh
    proof of who is there, see accounts.admin.dangers for what may do without.
    """

    def register(function: Action) -> Action:
        function.short_description = description  # type: ignore[attr-defined]  # Django's own way
        function.allowed_permissions = [permission]  # type: ignore[attr-defined]
        _actions[function.__name__] = function
        if not is_sensitive:
            _exempt.add(function.__name__)
        return function

    return register


def user_actions() -> dict[str, Action]:
    """The registered actions by name, in the order of registration."""
    return dict(_actions)


def exempt_user_actions() -> frozenset[str]:
    """Names of the actions that apps have added as ones that want no fresh proof."""
    return frozenset(_exempt)


def ask_first(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, template: str, context: dict[str, Any]
) -> TemplateResponse:
    """The page between choosing an action and doing it; it names the people once more.

    context needs title and people; CONFIRMED stands in the answer to the page.
    """
    opts = modeladmin.opts
    common = modeladmin.admin_site.each_context(request) | {
        "opts": opts,
        "media": modeladmin.media,
        "checkbox_name": ACTION_CHECKBOX_NAME,
        "confirmed_name": CONFIRMED,
        "action_name": request.POST.get("action", ""),
    }
    return TemplateResponse(request, template, common | context)


def render_with_panel(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, template: str, context: dict[str, Any]
) -> TemplateResponse:
    """The user list again with `template` on top of it, for secrets that are shown once.

    The answer is no-store and the secret lives in this answer alone: the messages framework would
    keep it in the session. The list is read anew with the filters of the present address.
    """
    response = modeladmin.changelist_view(
        _as_get(request), {"panel_template": template, "panel": context}
    )
    if not isinstance(response, TemplateResponse):
        raise TypeError("the user list redirected instead of showing the panel")
    show_once(response, request.get_full_path())
    return response


def _as_get(request: HttpRequest) -> HttpRequest:
    """A request for the same list, which runs no action."""
    asked = copy(request)
    asked.resolver_match = request.resolver_match
    asked.method = "GET"
    asked.POST = QueryDict()
    return asked
