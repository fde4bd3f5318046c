"""Bulk actions of the user list. Each leaves out whom the operator may not manage and says so."""

from collections.abc import Callable
from typing import Any

from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.actions import (
    CONFIRMED,
    MAX_SECRETS,
    Action,
    ask_first,
    render_with_secrets,
)
from accounts.admin.base import acting_admin
from accounts.admin.user_actions import (
    ACTS,
    act_on_each,
    chosen_people,
    delete,
    report,
    reset_factors,
    start_reset,
)
from accounts.admin.user_forms import ChooseRoleForm
from accounts.models import User
from accounts.services.users import change_role

BULK_MAXIMUM = 500
Body = Callable[["ModelAdmin[User]", HttpRequest, list[User]], HttpResponse | None]


def _action(name: str, description: Any, *, permission: str, maximum: int, body: Body) -> Action:
    """A function as ModelAdmin wants it, which refuses more than `maximum` people at once."""

    def action(
        modeladmin: "ModelAdmin[User]", request: HttpRequest, queryset: "QuerySet[User]"
    ) -> HttpResponse | None:
        people = chosen_people(request, queryset, maximum)
        return None if people is None else body(modeladmin, request, people)

    action.__name__ = name
    action.short_description = description  # type: ignore[attr-defined]  # Django's own way
    action.allowed_permissions = [permission]  # type: ignore[attr-defined]
    return action


def _simple(name: str) -> Action:
    act = ACTS[name]

    def body(_admin: "ModelAdmin[User]", request: HttpRequest, people: list[User]) -> None:
        report(request, act_on_each(acting_admin(request), people, act.run))

    function = f"{name.replace('-', '_')}_people"
    return _action(function, act.bulk_label, permission="change", maximum=BULK_MAXIMUM, body=body)


def _change_role(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, people: list[User]
) -> HttpResponse | None:
    actor = acting_admin(request)
    is_answer = CONFIRMED in request.POST
    form = ChooseRoleForm(request.POST if is_answer else None, actor=actor)
    if not is_answer or not form.is_valid():
        context = {"title": _("Change role"), "people": people, "form": form}
        return ask_first(modeladmin, request, "admin/accounts/user/choose_role.html", context)
    role = form.cleaned_data["role"]

    def give(giver: User, person: User) -> User:
        return change_role(actor=giver, user=person, role=role)

    report(request, act_on_each(actor, people, give))
    return None


def _start_resets(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, people: list[User]
) -> HttpResponse | None:
    tally = act_on_each(acting_admin(request), people, start_reset)
    report(request, tally)
    if not tally.results:
        return None
    rows = [{"person": person, "link": link} for person, link in tally.results]
    template = "admin/accounts/user/reset_links.html"
    return render_with_secrets(modeladmin, request, template, {"rows": rows})


def _reset_factors(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, people: list[User]
) -> HttpResponse | None:
    if CONFIRMED not in request.POST:
        factors = sum(person.authenticators.count() for person in people)
        context = {"title": _("Reset second factors"), "people": people, "factors": factors}
        return ask_first(modeladmin, request, "admin/accounts/user/reset_factors.html", context)
    report(request, act_on_each(acting_admin(request), people, reset_factors))
    return None


def _delete(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, people: list[User]
) -> HttpResponse | None:
    if CONFIRMED not in request.POST:
        _lines, counts, _lacking, _protected = modeladmin.get_deleted_objects(people, request)
        context = {"title": _("Delete people"), "people": people, "counts": counts.items()}
        return ask_first(modeladmin, request, "admin/accounts/user/delete_people.html", context)
    report(request, act_on_each(acting_admin(request), people, delete))
    return None


BULK_ACTIONS: tuple[Action, ...] = (
    _action(
        "change_role_of_people",
        gettext_lazy("Change role"),
        permission="change",
        maximum=BULK_MAXIMUM,
        body=_change_role,
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
    *(_simple(name) for name in ACTS),
    # Django's name for it, so that its own, which asks nobody about rank, stays away.
    _action(
        "delete_selected",
        gettext_lazy("Delete"),
        permission="delete",
        maximum=BULK_MAXIMUM,
        body=_delete,
    ),
)
