"""The buttons of one person's page: each is a small POST form, and GET answers 405."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.admin.actions import CONFIRMED, ask_first
from accounts.admin.base import panel_actor
from accounts.admin.fact_cells import with_people
from accounts.admin.user_acts import (
    ACTS,
    Act,
    reset_factors,
    sign_out_if_ended,
    start_reset,
)
from accounts.browser import device_name
from accounts.errors import GatehouseError
from accounts.models import AuditEvent, User
from accounts.sent_forms import show_once
from accounts.services import recovery
from accounts.services.sessions import own_sessions

SHOWN_SESSIONS = 20
SHOWN_EVENTS = 20


def urls(modeladmin: "ModelAdmin[User]") -> list[URLPattern]:
    """/<id>/disable and so on, behind the panel's gate."""
    views = {name: _act_view(modeladmin, act) for name, act in ACTS.items()}
    views["reset"] = _reset_view(modeladmin)
    views["reset-factors"] = _reset_factors_view(modeladmin)
    return [
        path(
            f"<uuid:key>/{name}/",
            modeladmin.admin_site.admin_view(require_POST(view)),
            name=f"accounts_user_{name}",
        )
        for name, view in views.items()
    ]


def _person(modeladmin: "ModelAdmin[User]", request: HttpRequest, key: UUID) -> User:
    """Whom the button is for. Raises Http404, or PermissionDenied for a rank too low."""
    person: User | None = User.objects.filter(pk=key).first()
    if person is None:
        raise Http404
    if not modeladmin.has_change_permission(request, person):
        raise PermissionDenied
    return person


def _act_view(modeladmin: "ModelAdmin[User]", act: Act) -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, key: UUID) -> HttpResponse:
        person = _person(modeladmin, request, key)
        try:
            act.run(panel_actor(request), person)
        except GatehouseError as error:
            messages.error(request, error.sentences)
        else:
            sign_out_if_ended(request)
            messages.success(request, f"{person.email}: {act.done}")
        return redirect("admin:accounts_user_change", person.pk)

    return view


def _reset_view(modeladmin: "ModelAdmin[User]") -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, key: UUID) -> HttpResponse:
        """Shows the link once: it stands in this answer and nowhere else."""
        person = _person(modeladmin, request, key)
        try:
            link = start_reset(panel_actor(request), person)
        except GatehouseError as error:
            messages.error(request, error.sentences)
            return redirect("admin:accounts_user_change", person.pk)
        context = modeladmin.admin_site.each_context(request) | {
            "title": _("Password reset started"),
            "opts": modeladmin.opts,
            "original": person,
            "panel": {"rows": [{"person": person, "link": link}]},
        }
        page = render(request, "admin/accounts/user/reset_link.html", context)
        return show_once(page, reverse("admin:accounts_user_change", args=[person.pk]))

    return view


def _reset_factors_view(modeladmin: "ModelAdmin[User]") -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, key: UUID) -> HttpResponse:
        """Asks first, naming how many there are."""
        person = _person(modeladmin, request, key)
        if CONFIRMED not in request.POST:
            context = {
                "title": _("Reset second factors"),
                "people": [person],
                "factors": person.authenticators.count(),
            }
            return ask_first(modeladmin, request, "admin/accounts/user/reset_factors.html", context)
        try:
            reset_factors(panel_actor(request), person)
        except GatehouseError as error:
            messages.error(request, error.sentences)
        else:
            done = _("All second factors are gone, and the person is signed out everywhere.")
            messages.success(request, f"{person.email}: {done}")
        return redirect("admin:accounts_user_change", person.pk)

    return view


def page_context(actor: User, person: User) -> dict[str, Any]:
    """What the page of one person shows beside the form: buttons, devices, last events."""
    newest = AuditEvent.objects.filter(target_id=person.pk).order_by("-seq")
    return {
        "buttons": _buttons(person) if actor.can_manage(person) else [],
        "may_reset": actor.can_manage(person) and actor.pk != person.pk,
        "factors": list(person.authenticators.order_by("id")),
        "identities": list(person.identities.order_by("id")),
        "codes_left": recovery.standing(person).left,
        "devices": [
            {"name": device_name(row.user_agent), "ip": row.ip, "last_seen_at": row.last_seen_at}
            for row in own_sessions(person)[:SHOWN_SESSIONS]
        ],
        "events": with_people(newest)[:SHOWN_EVENTS],
    }


def _buttons(person: User) -> list[dict[str, Any]]:
    is_useful = {
        "disable": person.is_active,
        "enable": not person.is_active,
        "verify": not person.is_verified,
    }
    return [
        {"url": f"admin:accounts_user_{name}", "label": act.label}
        for name, act in ACTS.items()
        if is_useful.get(name, True)
    ]


def what_goes(people: list[User]) -> tuple[list[Any], dict[str, int]]:
    """What a deletion takes along: a nested list for the page, and counts by name."""
    counts: dict[str, int] = {str(User._meta.verbose_name_plural): len(people)}
    for relation in User._meta.related_objects:
        if getattr(relation.on_delete, "__name__", "") != "CASCADE":
            continue
        model: type[Model] = relation.related_model
        found = model._base_manager.filter(**{f"{relation.field.name}__in": people}).count()
        if found:
            counts[str(model._meta.verbose_name_plural)] = found
    return [person.email for person in people], counts
