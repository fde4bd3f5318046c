"""Bulk actions of the user list. Users whom the administrator may not manage are skipped."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from accounts.admin.actions import (
    CONFIRMED,
    MAX_SECRETS,
    Action,
    render_with_secrets,
)
from accounts.admin.base import acting_admin
from accounts.admin.bulk_actions import MAX_ROWS
from accounts.admin.users.actions import (
    USER_ACTIONS,
    chosen_users,
    report,
    reset_refusals,
    run_on_users,
    start_reset,
)
from accounts.admin.users.forms import ChooseEndForm, ChooseRoleForm
from accounts.admin.users.preview import (
    Question,
    ask,
    by_rank,
    last_owner,
    own_account,
    preview_page,
    without_factor,
)
from accounts.models import User
from accounts.services.second_factors import reset_factors
from accounts.services.users import change_role, delete_user, set_expiry

Body = Callable[["ModelAdmin[User]", HttpRequest, list[User]], HttpResponse | None]


def _action(name: str, description: Any, *, permission: str, maximum: int, body: Body) -> Action:
    """Make a ModelAdmin action that refuses more than `maximum` users at once."""

    def action(
        modeladmin: "ModelAdmin[User]", request: HttpRequest, queryset: "QuerySet[User]"
    ) -> HttpResponse | None:
        users = chosen_users(request, queryset, maximum)
        return None if users is None else body(modeladmin, request, users)

    action.__name__ = name
    action.short_description = description  # type: ignore[attr-defined]  # Django's own way
    action.allowed_permissions = [permission]  # type: ignore[attr-defined]
    return action


def _simple(name: str) -> Action:
    action = USER_ACTIONS[name]

    def body(
        modeladmin: "ModelAdmin[User]", request: HttpRequest, users: list[User]
    ) -> HttpResponse | None:
        actor = acting_admin(request)
        if CONFIRMED not in request.POST:
            return ask(
                modeladmin,
                request,
                users,
                action.refusals(actor),
                Question(action.bulk_label, action.bulk_question, action.label),
            )
        report(request, run_on_users(actor, users, action.run))
        return None

    function = f"{name.replace('-', '_')}_people"
    return _action(function, action.bulk_label, permission="change", maximum=MAX_ROWS, body=body)


def _change_role(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, users: list[User]
) -> HttpResponse | None:
    actor = acting_admin(request)
    is_confirmed = CONFIRMED in request.POST
    form = ChooseRoleForm(request.POST if is_confirmed else None, actor=actor)
    if not is_confirmed or not form.is_valid():
        template = "admin/accounts/user/choose_role.html"
        context = {"title": _("Change role"), "form": form}
        return preview_page(
            modeladmin, request, users, [by_rank(actor)], template, lambda _users: context
        )
    typed = form.cleaned_data
    change = partial(
        change_role, role=typed["role"], until=typed["role_until"], then=typed["role_after"]
    )
    report(request, run_on_users(actor, users, change))
    return None


def _set_end(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, users: list[User]
) -> HttpResponse | None:
    actor = acting_admin(request)
    is_confirmed = CONFIRMED in request.POST
    form = ChooseEndForm(request.POST if is_confirmed else None)
    if not is_confirmed or not form.is_valid():
        template = "admin/accounts/user/choose_end.html"
        context = {"title": _("Set the end of the access"), "form": form}
        return preview_page(
            modeladmin, request, users, [by_rank(actor)], template, lambda _users: context
        )
    change = partial(set_expiry, expires_at=form.cleaned_data["expires_at"])
    report(request, run_on_users(actor, users, change))
    return None


def _start_resets(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, users: list[User]
) -> HttpResponse | None:
    actor = acting_admin(request)
    if CONFIRMED not in request.POST:
        return ask(modeladmin, request, users, reset_refusals(actor), _RESET)
    result = run_on_users(actor, users, start_reset)
    report(request, result)
    if not result.results:
        return None
    rows = [{"person": user, "link": link} for user, link in result.results]
    template = "admin/accounts/user/reset_links.html"
    return render_with_secrets(modeladmin, request, template, {"rows": rows})


def _reset_factors(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, users: list[User]
) -> HttpResponse | None:
    actor = acting_admin(request)
    if CONFIRMED not in request.POST:
        own = own_account(actor, _("Change your own factors on your account page."))
        refusals = [by_rank(actor), own, without_factor]

        def context(affected: list[User]) -> dict[str, Any]:
            factors = sum(user.authenticators.count() for user in affected)
            return {"title": _("Reset second factors"), "factors": factors}

        template = "admin/accounts/user/reset_factors.html"
        return preview_page(modeladmin, request, users, refusals, template, context)
    report(request, run_on_users(actor, users, reset_factors))
    return None


def _delete(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, users: list[User]
) -> HttpResponse | None:
    actor = acting_admin(request)
    if CONFIRMED not in request.POST:
        refusals = [by_rank(actor, may_be_self=True), last_owner()]

        def context(affected: list[User]) -> dict[str, Any]:
            _lines, counts, _lacking, _protected = modeladmin.get_deleted_objects(affected, request)
            return {"title": _("Delete people"), "counts": counts.items()}

        template = "admin/accounts/user/delete_people.html"
        return preview_page(modeladmin, request, users, refusals, template, context)
    report(request, run_on_users(actor, users, delete_user))
    return None


_RESET = Question(
    gettext_lazy("Start password reset"),
    ngettext_lazy(
        "Remove the password of this person? The old password stops working, every device is "
        "signed out, and you get a link to hand over with which they choose a new one.",
        "Remove the passwords of these %(count)d people? The old passwords stop working, every "
        "device is signed out, and you get a link for each with which they choose a new one.",
        "count",
    ),
    gettext_lazy("Start password reset"),
)
BULK_ACTIONS: tuple[Action, ...] = (
    _action(
        "change_role_of_people",
        gettext_lazy("Change role"),
        permission="change",
        maximum=MAX_ROWS,
        body=_change_role,
    ),
    _action(
        "set_end_of_people",
        gettext_lazy("Set the end of the access"),
        permission="change",
        maximum=MAX_ROWS,
        body=_set_end,
    ),
    _action(
        "start_reset_of_people",
        gettext_lazy("Start password reset"),
        permission="change",
        maximum=MAX_SECRETS,
        body=_start_resets,
    ),
    _action(
        "reset_factors_of_people",
        gettext_lazy("Reset second factors"),
        permission="change",
        maximum=MAX_SECRETS,
        body=_reset_factors,
    ),
    *(_simple(name) for name in USER_ACTIONS),
    # Django's own name, so that this replaces its action, which does not compare roles.
    _action(
        "delete_selected",
        gettext_lazy("Delete"),
        permission="delete",
        maximum=MAX_ROWS,
        body=_delete,
    ),
)
