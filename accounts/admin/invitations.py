"""Invitations in the admin: the read-only table, "Withdraw", and the page "Invite"."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminEmailInputWidget, AdminTextInputWidget
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from accounts.admin import many_invitations
from accounts.admin.base import acting_admin
from accounts.admin.bulk_actions import MAX_ROWS, RowActionsAdmin, run_on_rows
from accounts.admin.columns import NOTHING, badge, moment_column, role_cell, user_column, user_link
from accounts.admin.navigation import MenuGroup
from accounts.admin.site import site
from accounts.admin.users.filters import ChoiceFilter, Option, RoleFilter, SinceFilter
from accounts.forms import is_valid_with
from accounts.models import Invitation, User
from accounts.sent_forms import show_once
from accounts.services.bulk.invitations import send_again
from accounts.services.groups.reading import groups_with_ids
from accounts.services.invitations import ENDS_SOON, check_address, invite, withdraw
from core.errors import GatehouseError
from core.text import email_addresses

# SingleUseToken.state() -> tone and text.
STATES: dict[str, tuple[str, Any]] = {
    "live": ("good", gettext_lazy("Open")),
    "used": ("plain", gettext_lazy("Accepted")),
    "replaced": ("warn", gettext_lazy("Withdrawn or replaced")),
    "expired": ("plain", gettext_lazy("Expired")),
}
TEMPLATES = "admin/accounts/invitation"


class InviteForm(many_invitations.InvitedAsForm):
    """The invited address, the role and the lifetime; accounts.services validates."""

    field_order = ("email", "name")

    email = forms.CharField(
        label=gettext_lazy("Email address"),
        max_length=email_addresses.MAX_EMAIL_LENGTH,
        widget=AdminEmailInputWidget(attrs={"autocomplete": "off"}),
    )
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=150,
        required=False,
        widget=AdminTextInputWidget,
        help_text=gettext_lazy("The person can change it."),
    )


class InvitationStateFilter(ChoiceFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        now, untouched = timezone.now(), Q(used_at=None, replaced_at=None)
        conditions = {
            "live": untouched & Q(expires_at__gt=now),
            "expiring": untouched & Q(expires_at__gt=now, expires_at__lt=now + ENDS_SOON),
            "used": Q(used_at__isnull=False),
            "replaced": Q(used_at=None, replaced_at__isnull=False),
            "expired": untouched & Q(expires_at__lte=now),
        }
        labels = {state: text for state, (_tone, text) in STATES.items()}
        labels["expiring"] = gettext_lazy("Expires within two days")
        return [(state, text, conditions[state]) for state, text in labels.items()]


class InvitedFilter(SinceFilter):
    title = gettext_lazy("created")
    parameter_name = "created"
    field = "created_at"


@admin.register(Invitation, site=site)
class InvitationAdmin(RowActionsAdmin):
    """Who was invited by whom with which role, and the state of it; never the link itself."""

    title = gettext_lazy("Invitations")
    menu_group = MenuGroup.USERS
    menu_position = 20
    help_page = "invitations"
    list_display = ("email", "state", "role_name", "inviter", "ends", "made")
    list_display_links = ("email",)
    list_filter = (InvitationStateFilter, RoleFilter, InvitedFilter)
    sortable_by = ("email", "made")
    empty_text = gettext_lazy(
        "Invite people by their address: they get a link and make their account themselves."
    )
    empty_page = ("admin:accounts_invitation_add", gettext_lazy("Invite"))
    search_fields = ("email", "name", "=invited_by__email")
    search_help_text = gettext_lazy("Part of an address or a name")
    actions = ("withdraw_chosen", "send_chosen_again")
    exempt_actions = frozenset({"withdraw_chosen"})
    # Checking a list only reads.
    exempt_pages: ClassVar[frozenset[str]] = frozenset({"accounts_invitation_many"})
    detail_fields: ClassVar[tuple[str, ...]] = (
        "email",
        "name",
        "state",
        "role_name",
        "group_names",
        "inviter",
        "account",
        "created_at",
        "expires_at",
        "used_at",
        "replaced_at",
        "id",
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Invitation]":
        found: QuerySet[Invitation] = super().get_queryset(request)
        return found.defer("digest").select_related("invited_by", "user")

    def get_urls(self) -> list[URLPattern]:
        return [*many_invitations.urls(self), *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Adding one is inviting; the service decides which roles may be assigned."""
        return bool(self.has_view_permission(request))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The form; after it the link, which is shown in that response only."""
        actor = acting_admin(request)
        form = InviteForm(request.POST if request.method == "POST" else None, actor=actor)
        if is_valid_with(form, _check):
            try:
                return self._invite(request, actor, form.cleaned_data)
            except GatehouseError as error:
                form.add_service_errors(error)
        return self.own_form_page(request, f"{TEMPLATES}/invite.html", form, _("Invite"))

    def _invite(self, request: HttpRequest, actor: User, typed: dict[str, Any]) -> HttpResponse:
        issued = invite(
            actor=actor,
            email=typed["email"],
            role=typed["role"],
            lifetime=timedelta(days=typed["days"]),
            name=typed["name"],
            role_until=typed["role_until"],
            role_after=typed["role_after"],
            group_ids=typed["groups"],
        )
        context = {"title": _("Invite"), "opts": self.opts, "issued": issued}
        common = self.admin_site.each_context(request)
        page = render(request, f"{TEMPLATES}/invited.html", common | context)
        return show_once(page, reverse("admin:accounts_invitation_changelist"))

    @admin.display(description=gettext_lazy("state"))
    def state(self, invitation: Invitation) -> SafeString:
        return badge(*STATES[invitation.state(timezone.now())])

    @admin.display(description=gettext_lazy("role"))
    def role_name(self, invitation: Invitation) -> str | SafeString:
        return role_cell(invitation)

    @admin.display(description=gettext_lazy("groups"))
    def group_names(self, invitation: Invitation) -> str:
        names = [group.name for group in groups_with_ids(invitation.group_ids)]
        return ", ".join(names) or NOTHING

    @admin.display(description=gettext_lazy("invited by"))
    def inviter(self, invitation: Invitation) -> str:
        if invitation.by_system:
            return _("system")
        user = invitation.invited_by
        return NOTHING if user is None else user_link(user.pk, user.email)

    account = user_column("user", gettext_lazy("account"))
    ends = moment_column("expires_at", gettext_lazy("expires"))
    made = moment_column("created_at", gettext_lazy("created"), ordering="pk")

    @admin.action(description=gettext_lazy("Withdraw"), permissions=["action"])
    def withdraw_chosen(self, request: HttpRequest, queryset: "QuerySet[Invitation]") -> None:
        """Withdraw the chosen invitations; the service refuses ended ones and higher roles."""
        actor = acting_admin(request)
        run_on_rows(
            request,
            queryset,
            lambda invitation: withdraw(actor=actor, invitation=invitation),
            ngettext_lazy(
                "%(count)d invitation is withdrawn.",
                "%(count)d invitations are withdrawn.",
                "count",
            ),
        )

    @admin.action(description=gettext_lazy("Send again, with a new link"), permissions=["action"])
    def send_chosen_again(
        self, request: HttpRequest, queryset: "QuerySet[Invitation]"
    ) -> HttpResponse:
        """Replace the chosen invitations by new ones, and show their links once."""
        chosen = list(queryset[:MAX_ROWS])
        lines = send_again(chosen, actor=acting_admin(request))
        return many_invitations.result_page(self, request, lines)


def _check(data: dict[str, Any]) -> None:
    """Raise RecordInvalid for an address that the service would refuse."""
    if "email" in data:
        check_address(data["email"])
