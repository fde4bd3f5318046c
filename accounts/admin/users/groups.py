"""Groups on the page of one user, in the user list and in its filters."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.actors import Actor
from accounts.admin.base import acting_admin
from accounts.admin.columns import NOTHING, moment
from accounts.admin.users.filters import ChoiceFilter, Option
from accounts.admin.users.row_actions import RowAction, add_row_action, row_button
from accounts.admin.users.sections import Content, Row, add_section
from accounts.forms import EndField
from accounts.models import Group, Membership, User
from accounts.models.groups import DIRECTORY, MANUAL
from accounts.services.groups.members import add_member, remove_member
from core.errors import GatehouseError

NO_GROUP = "-"


class GroupFilter(ChoiceFilter):
    """People in one group, or in none."""

    title = gettext_lazy("group")
    parameter_name = "group"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        rows = Membership.objects.filter(user=OuterRef("pk")).current(timezone.now())
        groups = list(Group.objects.order_by("name"))
        found: list[Option] = [
            (group.name, str(group), Q(Exists(rows.filter(group=group)))) for group in groups
        ]
        return [*found, (NO_GROUP, _("In no group"), ~Q(Exists(rows)))] if found else []


class JoinForm(forms.Form):
    """A group, and until when."""

    group = forms.ModelChoiceField(Group.objects.order_by("name"), label=gettext_lazy("Group"))
    until = EndField(
        label=gettext_lazy("Until"), help_text=gettext_lazy("In your time zone. Empty: no end.")
    )


def source_text(source: str) -> str:
    """Who says that a person is in a group."""
    if source == MANUAL:
        return _("by hand")
    if source == DIRECTORY:
        return _("directory")
    if source == "scim":
        return "SCIM"
    kind, _sign, name = source.partition(":")
    return _("provider %(name)s") % {"name": name} if kind == "provider" else source


def register() -> None:
    """Add the section and its button."""
    add_section("groups", gettext_lazy("Groups"), groups)
    add_row_action(
        "leave-group",
        RowAction(
            _leave,
            gettext_lazy("Remove"),
            gettext_lazy("not in the group any more."),
            is_sensitive=False,
        ),
    )


def groups(request: HttpRequest, user: User) -> Content:
    """The groups that the user is in, why, and a form to add one."""
    rows = Membership.objects.filter(user=user).current(timezone.now()).select_related("group")
    found = list(rows.order_by("group__name", "source"))
    held = {row.group_id for row in found if row.source == MANUAL}
    is_offered = (
        acting_admin(request).can_manage(user) and Group.objects.exclude(pk__in=held).exists()
    )
    context = {"form": JoinForm(auto_id="join_%s"), "user": user, "is_offered": is_offered}
    return Content(
        (_("Group"), _("By"), _("Since"), _("Until")),
        [_row(row, user) for row in found],
        empty=_("In no group."),
        shown=len(found),
        template="admin/accounts/user/_groups.html",
        context=context,
    )


def _row(row: Membership, user: User) -> Row:
    page = reverse("admin:accounts_group_change", args=[row.group_id])
    cells = (
        format_html('<a href="{}">{}</a>', page, row.group),
        source_text(row.source),
        moment(row.added_at),
        moment(row.until) if row.until else NOTHING,
    )
    if row.source != MANUAL:
        return Row(cells)
    question = _("Remove %(name)s from %(group)s? What asks for the group refuses them at once.")
    words = {"name": user.get_full_name(), "group": row.group}
    return Row(cells, row_button("leave-group", user, row.group_id, question % words))


def _leave(*, actor: Actor, user: User, key: UUID) -> None:
    """key: of the group. Raises NotFound."""
    remove_member(actor=actor, user=user, group=Group(pk=key))


UserForChange = Callable[["ModelAdmin[User]", HttpRequest, UUID], User]


def join_view(
    modeladmin: "ModelAdmin[User]", user_for_change: UserForChange
) -> Callable[..., HttpResponse]:
    """Put the user into a group, from their page."""

    def view(request: HttpRequest, key: UUID) -> HttpResponse:
        user, form = user_for_change(modeladmin, request, key), JoinForm(request.POST)
        if form.is_valid():
            _join(request, user, form.cleaned_data)
        else:
            for text in [text for texts in form.errors.values() for text in texts]:
                messages.error(request, str(text))
        return redirect("admin:accounts_user_change", user.pk)

    return view


def _join(request: HttpRequest, user: User, typed: Mapping[str, Any]) -> None:
    group = typed["group"]
    try:
        add_member(actor=acting_admin(request), user=user, group=group, until=typed["until"])
    except GatehouseError as error:
        messages.error(request, error.sentences)
    else:
        words = {"name": user.get_full_name(), "group": group}
        messages.success(request, _("%(name)s is in the group “%(group)s”.") % words)
