"""Invitations in the admin panel: the table of facts, "Withdraw", and the page "Invite"."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import AdminForm
from django.contrib.admin.widgets import AdminEmailInputWidget, AdminTextInputWidget
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts import addresses
from accounts.actors import Actor
from accounts.admin.base import panel_actor
from accounts.admin.cells import NOTHING, moment
from accounts.admin.fact_acts import ACT_MAXIMUM, ActingAdmin, act_on_rows
from accounts.admin.fact_cells import badge, person_link
from accounts.admin.site import site
from accounts.admin.user_filters import ChoiceFilter, Choices, RoleFilter, SinceFilter
from accounts.admin.user_forms import role_choices
from accounts.errors import GatehouseError, RecordInvalid
from accounts.forms import is_valid_with
from accounts.models import Invitation, User
from accounts.roles import Role
from accounts.sent_forms import show_once
from accounts.services.invitations import LIFETIME, check_address, invite, withdraw

# What SingleUseToken.state() says -> tone and text.
STATES: dict[str, tuple[str, Any]] = {
    "live": ("good", gettext_lazy("Open")),
    "used": ("plain", gettext_lazy("Accepted")),
    "replaced": ("warn", gettext_lazy("Withdrawn or replaced")),
    "expired": ("plain", gettext_lazy("Expired")),
}
DAYS = (1, 3, LIFETIME.days, 14, 30)


class InviteForm(forms.Form):
    """Whom, as what, for how long; accounts.services decides."""

    email = forms.CharField(
        label=gettext_lazy("Email address"),
        max_length=addresses.MAX_EMAIL_LENGTH,
        widget=AdminEmailInputWidget(attrs={"autocomplete": "off"}),
    )
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=150,
        required=False,
        widget=AdminTextInputWidget,
        help_text=gettext_lazy("The person can change it."),
    )
    role = forms.ChoiceField(label=gettext_lazy("Role"), initial=Role.VIEWER.value)
    days = forms.TypedChoiceField(
        label=gettext_lazy("Works for"), coerce=int, initial=LIFETIME.days
    )

    def __init__(self, *args: Any, actor: Actor, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["role"].choices = role_choices(actor)  # type: ignore[attr-defined]
        self.fields["days"].choices = _lifetimes()  # type: ignore[attr-defined]

    def show(self, error: GatehouseError) -> None:
        """Write a service's refusal beside its fields."""
        found = error.errors if isinstance(error, RecordInvalid) else {"": [error.message]}
        for name, texts in found.items():
            self.add_error(name if name in self.fields else None, [str(text) for text in texts])


class InvitationStateFilter(ChoiceFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]") -> Choices:
        return [(state, text) for state, (_tone, text) in STATES.items()]

    def conditions(self) -> dict[str, Q]:
        now, untouched = timezone.now(), Q(used_at=None, replaced_at=None)
        return {
            "live": untouched & Q(expires_at__gt=now),
            "used": Q(used_at__isnull=False),
            "replaced": Q(used_at=None, replaced_at__isnull=False),
            "expired": untouched & Q(expires_at__lte=now),
        }


class InvitedFilter(SinceFilter):
    title = gettext_lazy("created")
    parameter_name = "created"
    field = "created_at"


@admin.register(Invitation, site=site)
class InvitationAdmin(ActingAdmin):
    """Who was invited by whom to what, and what became of it; never the link itself."""

    title = gettext_lazy("Invitations")
    list_display = ("email", "state", "role_name", "inviter", "ends", "made")
    list_display_links = ("email",)
    list_filter = (InvitationStateFilter, RoleFilter, InvitedFilter)
    search_fields = ("email", "name")
    search_help_text = gettext_lazy("Part of an address or a name")
    actions = ("withdraw_chosen",)
    exempt_actions = frozenset({"withdraw_chosen"})
    facts: ClassVar[tuple[str, ...]] = (
        "email",
        "name",
        "state",
        "role_name",
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

    def has_add_permission(self, request: HttpRequest) -> bool:
        """To add one is to invite; which roles may be given is decided by the service."""
        return bool(self.has_view_permission(request))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The form; after it the link, which stands in that answer and nowhere else."""
        actor = panel_actor(request)
        form = InviteForm(request.POST if request.method == "POST" else None, actor=actor)
        if not is_valid_with(form, _check):
            return self._form_page(request, form)
        typed = form.cleaned_data
        try:
            issued = invite(
                actor=actor,
                email=typed["email"],
                role=typed["role"],
                lifetime=timedelta(days=typed["days"]),
                name=typed["name"],
            )
        except GatehouseError as error:
            form.show(error)
            return self._form_page(request, form)
        page = self._page(request, "invited", {"issued": issued})
        return show_once(page, reverse("admin:accounts_invitation_changelist"))

    def _form_page(self, request: HttpRequest, form: InviteForm) -> HttpResponse:
        fields: Any = [(None, {"fields": list(form.fields)})]
        framed = AdminForm(form, fields, {}, model_admin=self)  # type: ignore[arg-type]  # any form
        return self._page(request, "invite", {"form": form, "adminform": framed})

    def _page(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        common = self.admin_site.each_context(request) | {"title": _("Invite"), "opts": self.opts}
        return render(request, f"admin/accounts/invitation/{name}.html", common | context)

    @admin.display(description=gettext_lazy("state"))
    def state(self, invitation: Invitation) -> SafeString:
        return badge(*STATES[invitation.state(timezone.now())])

    @admin.display(description=gettext_lazy("role"))
    def role_name(self, invitation: Invitation) -> str:
        return str(invitation.get_role_display())

    @admin.display(description=gettext_lazy("invited by"))
    def inviter(self, invitation: Invitation) -> str:
        if invitation.by_system:
            return _("system")
        return _person(invitation.invited_by)

    @admin.display(description=gettext_lazy("account"))
    def account(self, invitation: Invitation) -> str:
        return _person(invitation.user)

    @admin.display(description=gettext_lazy("ends"))
    def ends(self, invitation: Invitation) -> str:
        return moment(invitation.expires_at)

    @admin.display(description=gettext_lazy("created"))
    def made(self, invitation: Invitation) -> str:
        return moment(invitation.created_at)

    @admin.action(description=gettext_lazy("Withdraw"), permissions=["act"])
    def withdraw_chosen(self, request: HttpRequest, queryset: "QuerySet[Invitation]") -> None:
        """Kill the chosen links; those that are over, or to roles out of reach, stay."""
        actor = panel_actor(request)
        act_on_rows(
            request,
            list(queryset[:ACT_MAXIMUM]),
            lambda invitation: withdraw(actor=actor, invitation=invitation),
            lambda count: (
                ngettext(
                    "%(count)d invitation is withdrawn.",
                    "%(count)d invitations are withdrawn.",
                    count,
                )
                % {"count": count}
            ),
        )


def _check(typed: dict[str, Any]) -> None:
    """Raise RecordInvalid for an address that will be refused; the form is wrong elsewhere."""
    if "email" in typed:
        check_address(typed["email"])


def _person(user: User | None) -> str:
    return NOTHING if user is None else person_link(user.pk, user.email)


def _lifetimes() -> list[tuple[int, str]]:
    return [
        (days, ngettext("%(number)d day", "%(number)d days", days) % {"number": days})
        for days in DAYS
    ]
