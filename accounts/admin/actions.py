"""How apps add actions to the user list, and how an action shows secrets above it.

This is one of the seams by which other apps extend accounts; see docs/architecture.md.
"""

from collections.abc import Callable
from copy import copy
from typing import Any, NamedTuple

from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse

from accounts.admin.base import USER_PAGE, as_uuid
from accounts.models import User
from accounts.sent_forms import show_once

Action = Callable[["ModelAdmin[User]", HttpRequest, "QuerySet[User]"], HttpResponse | None]


class PageAction(NamedTuple):
    """An action that the page of one user offers as a button.

    group: sign-in, access or sessions. question: %(name)s is the user; "" if the action shows a
    page of its own that asks. is_useful: whether the user is in a state that it changes; it is
    given a user with badges, see accounts.admin.users.filters.
    """

    group: str
    label: Any
    question: Any = ""
    is_useful: Callable[[User], bool] = lambda _user: True
    is_danger: bool = False


_actions: dict[str, Action] = {}
_page_actions: dict[str, PageAction] = {}
_exempt: set[str] = set()
# Most users whose secrets one page shows.
MAX_SECRETS = 100
# The field by which the confirmation page says that it was confirmed.
CONFIRMED = "confirmed"


def user_action(
    *,
    description: Any,
    permission: str = "change",
    is_sensitive: bool = True,
    on_page: PageAction | None = None,
) -> Callable[[Action], Action]:
    """Decorator: add an action, a function (modeladmin, request, queryset), to the user list.

    description: the text in the list of actions. permission: "view", "change" or "delete"; the
    service that the action calls decides about each user again. is_sensitive: requires recent
    authentication; see accounts.admin.sensitive_actions for the exceptions. on_page: the button on
    the page of one user; None for none.
    """

    def register(function: Action) -> Action:
        function.short_description = description  # type: ignore[attr-defined]  # Django's own way
        function.allowed_permissions = [permission]  # type: ignore[attr-defined]
        _actions[function.__name__] = function
        if on_page is not None:
            _page_actions[function.__name__] = on_page
        if not is_sensitive:
            _exempt.add(function.__name__)
        return function

    return register


def user_actions() -> dict[str, Action]:
    """The registered actions by name, in the order of registration."""
    return dict(_actions)


def page_actions() -> dict[str, PageAction]:
    """The buttons of registered actions by the name of the action."""
    return dict(_page_actions)


def exempt_user_actions() -> frozenset[str]:
    """Names of the registered actions that do not require recent authentication."""
    return frozenset(_exempt)


def confirmation_page(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, template: str, context: dict[str, Any]
) -> TemplateResponse:
    """The page between choosing an action and running it; it lists the affected users.

    context: needs `title` and `people`. The page posts CONFIRMED.
    """
    opts = modeladmin.opts
    common = modeladmin.admin_site.each_context(request) | {
        "opts": opts,
        "media": modeladmin.media,
        "checkbox_name": ACTION_CHECKBOX_NAME,
        "confirmed_name": CONFIRMED,
        "action_name": request.POST.get("action", ""),
        "user_page_name": USER_PAGE,
        "user_page": as_uuid(request.POST.get(USER_PAGE, "")),
    }
    return TemplateResponse(request, template, common | context)


def render_with_secrets(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, template: str, context: dict[str, Any]
) -> TemplateResponse:
    """Render the user list with `template` above it, for secrets that are shown once.

    Renders the page of the user instead if its button was pressed. The response is no-store and
    nothing else holds the secret: the messages framework would keep it in the session. The list is
    loaded again with the filters of the current URL.
    """
    key = as_uuid(request.POST.get(USER_PAGE, ""))
    more = {
        "secrets_template": template,
        "panel": context,
        "user_page_name": USER_PAGE,
        "user_page": key,
    }
    if key is None:
        url = request.get_full_path()
        response = modeladmin.changelist_view(_as_get(request), more)
    else:
        url = reverse("admin:accounts_user_change", args=[key])
        response = modeladmin.change_view(_as_get(request), str(key), url, more)
    if not isinstance(response, TemplateResponse):
        raise TypeError("the user list redirected instead of showing the secrets")
    show_once(response, url)
    return response


def _as_get(request: HttpRequest) -> HttpRequest:
    """A GET request for the same list, which runs no action."""
    get = copy(request)
    get.resolver_match = request.resolver_match
    get.method = "GET"
    get.POST = QueryDict()
    return get
