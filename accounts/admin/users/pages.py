"""The buttons on the page of one user: each is a small POST form, and GET answers 405."""

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

from accounts.admin.actions import CONFIRMED, confirmation_page
from accounts.admin.base import acting_admin
from accounts.admin.errors import tell_error
from accounts.admin.navigation import below_user
from accounts.admin.users import groups, offboarding
from accounts.admin.users.actions import (
    USER_ACTIONS,
    UserAction,
    sign_out_if_ended,
    start_reset,
)
from accounts.admin.users.row_actions import RowAction, row_actions
from accounts.models import User
from accounts.sent_forms import show_once
from accounts.services import second_factors
from core.errors import GatehouseError, NotFound


def urls(modeladmin: "ModelAdmin[User]") -> list[URLPattern]:
    """<id>/disable/ and so on, with the checks of the admin site."""
    views = {name: action_view(modeladmin, action) for name, action in USER_ACTIONS.items()}
    views["reset"] = _reset_view(modeladmin)
    views["reset-factors"] = _reset_factors_view(modeladmin)
    views["offboard"] = offboarding.offboard_view(modeladmin, user_for_change)
    views["join-group"] = groups.join_view(modeladmin, user_for_change)
    buttons = [
        path(
            f"<uuid:key>/{name}/",
            modeladmin.admin_site.admin_view(require_POST(view)),
            name=f"accounts_user_{name}",
        )
        for name, view in views.items()
    ]
    rows = [
        path(
            f"<uuid:key>/{name}/<uuid:row>/",
            modeladmin.admin_site.admin_view(require_POST(_row_view(modeladmin, action))),
            name=f"accounts_user_{name}",
        )
        for name, action in row_actions().items()
    ]
    return [*buttons, *rows, *offboarding.report_urls(modeladmin)]


def user_for_change(modeladmin: "ModelAdmin[User]", request: HttpRequest, key: UUID) -> User:
    """The user of the button. Raises Http404, or PermissionDenied if their role is too high."""
    user: User | None = User.objects.filter(pk=key).first()
    if user is None:
        raise Http404
    if not modeladmin.has_change_permission(request, user):
        raise PermissionDenied
    return user


def _user_page(user: User) -> HttpResponse:
    table = "serviceaccount" if user.is_service else "user"
    return redirect(f"admin:accounts_{table}_change", user.pk)


def action_view(modeladmin: "ModelAdmin[User]", action: UserAction) -> Callable[..., HttpResponse]:
    """The button of `action`, which leads back to the page of the user."""

    def view(request: HttpRequest, key: UUID) -> HttpResponse:
        user = user_for_change(modeladmin, request, key)
        try:
            action.run(actor=acting_admin(request), user=user)
        except GatehouseError as error:
            tell_error(request, error)
        else:
            sign_out_if_ended(request)
            messages.success(request, f"{user.email}: {action.done}")
        return _user_page(user)

    return view


def _row_view(modeladmin: "ModelAdmin[User]", action: RowAction) -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, key: UUID, row: UUID) -> HttpResponse:
        user = user_for_change(modeladmin, request, key)
        try:
            action.run(actor=acting_admin(request), user=user, key=row)
        except NotFound:
            raise Http404 from None
        except GatehouseError as error:
            tell_error(request, error)
        else:
            sign_out_if_ended(request)
            messages.success(request, f"{user.email}: {action.done}")
        return _user_page(user)

    return view


def _reset_view(modeladmin: "ModelAdmin[User]") -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, key: UUID) -> HttpResponse:
        """Start a password reset; the link is shown in this response only."""
        user = user_for_change(modeladmin, request, key)
        try:
            link = start_reset(actor=acting_admin(request), user=user)
        except GatehouseError as error:
            tell_error(request, error)
            return _user_page(user)
        context = modeladmin.admin_site.each_context(request) | below_user(user.pk, user.email)
        context |= {
            "title": _("Password reset started"),
            "opts": modeladmin.opts,
            "original": user,
            "panel": {"rows": [{"person": user, "link": link}]},
        }
        page = render(request, "admin/accounts/user/reset_link.html", context)
        return show_once(page, reverse("admin:accounts_user_change", args=[user.pk]))

    return view


def _reset_factors_view(modeladmin: "ModelAdmin[User]") -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, key: UUID) -> HttpResponse:
        """Reset the second factors, after a confirmation page that tells how many there are."""
        user = user_for_change(modeladmin, request, key)
        if CONFIRMED not in request.POST:
            context = {
                "title": _("Reset second factors"),
                "people": [user],
                "factors": user.authenticators.count(),
            }
            template = "admin/accounts/user/reset_factors.html"
            return confirmation_page(modeladmin, request, template, context)
        try:
            second_factors.reset_factors(actor=acting_admin(request), user=user)
        except GatehouseError as error:
            tell_error(request, error)
        else:
            done = _("All second factors were removed, and the person is signed out everywhere.")
            messages.success(request, f"{user.email}: {done}")
        return _user_page(user)

    return view


def deletion_summary(users: list[User]) -> tuple[list[Any], dict[str, int]]:
    """What is deleted with `users`: their addresses, and counts of rows by model name."""
    counts: dict[str, int] = {str(User._meta.verbose_name_plural): len(users)}
    for relation in User._meta.related_objects:
        if getattr(relation.on_delete, "__name__", "") != "CASCADE":
            continue
        model: type[Model] = relation.related_model
        found = model._base_manager.filter(**{f"{relation.field.name}__in": users}).count()
        if found:
            counts[str(model._meta.verbose_name_plural)] = found
    return [user.email for user in users], counts
