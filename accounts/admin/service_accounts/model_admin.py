"""The list of service accounts and the page of one. Every write is a call of accounts.services."""

from collections.abc import Iterable
from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from accounts.admin.base import SEARCH_MAX_LENGTH, AccountPage, acting_admin, as_uuid
from accounts.admin.columns import badge, moment_column, role_cell, until, user_link
from accounts.admin.navigation import MenuGroup
from accounts.admin.service_accounts.actions import SERVICE_ACTIONS
from accounts.admin.service_accounts.forms import ServiceAccountForm
from accounts.admin.site import site
from accounts.admin.users import hub
from accounts.admin.users.filters import (
    STATE_LABELS,
    ChoiceFilter,
    EndsFilter,
    Option,
    RoleFilter,
    State,
    StateFilter,
    badges_of,
    state_of,
    with_badges,
)
from accounts.admin.users.list_columns import list_columns, with_list_columns
from accounts.admin.users.pages import action_view, deletion_summary
from accounts.models import ServiceAccount, User, UserQuerySet
from accounts.services import service_accounts, users
from accounts.services.users import Profile
from core.errors import GatehouseError

ROLE_AND_END = ("role", "role_until", "role_after")
NOBODY = "nobody"


class ResponsibleFilter(ChoiceFilter):
    """Filter by whether somebody answers for the account."""

    title = gettext_lazy("responsible person")
    parameter_name = "responsible"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        alone = Q(pk__in=User.objects.without_responsible(timezone.now()).values("pk"))
        return [
            ("somebody", gettext_lazy("Somebody answers for it"), ~alone),
            (NOBODY, gettext_lazy("Nobody answers for it"), alone),
        ]


@admin.register(ServiceAccount, site=site)
class ServiceAccountAdmin(AccountPage):
    """Service accounts. Only those whose role is below the administrator's can be changed."""

    form = ServiceAccountForm
    title = gettext_lazy("Service accounts")
    menu_group = MenuGroup.USERS
    menu_position = 20
    help_page = "service-accounts"
    list_display = ("account", "role_name", "state", "answers", "created")
    list_display_links = ("account",)
    list_filter = (RoleFilter, StateFilter, ResponsibleFilter, EndsFilter)
    search_fields = ("username", "name")
    search_help_text = gettext_lazy("Part of a name or of what it is for, or a whole id")
    ordering = ("-id",)
    sortable_by = ("account",)
    empty_text = gettext_lazy(
        "A script, a build server or a dashboard gets an account of its own here, with API keys "
        "and without a password. It goes on when people leave."
    )
    empty_page = ("admin:accounts_serviceaccount_add", gettext_lazy("Add a service account"))
    actions = None
    change_form_template = "admin/accounts/user/change_form.html"
    delete_confirmation_template = "admin/accounts/serviceaccount/delete_confirmation.html"
    # In an incident an administrator must be able to disable an account at once.
    exempt_pages = frozenset({"accounts_serviceaccount_disable"})
    page_labels = {"disable": gettext_lazy("Disable")}

    # The list

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ServiceAccount]":
        rows = cast("UserQuerySet", super().get_queryset(request)).by_partial_index()
        found = with_list_columns(with_badges(rows)).prefetch_related("responsible")
        return cast("QuerySet[ServiceAccount]", found)

    def get_list_display(self, request: HttpRequest) -> Any:
        keys = [column for column in list_columns() if column.__name__ == "keys"]
        return [*self.list_display, *keys]

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        """Find parts of the name or of the purpose, or a whole id."""
        text = search_term.strip()[:SEARCH_MAX_LENGTH]
        if "\x00" in text:
            return queryset.none(), False
        key = as_uuid(text)
        if key is not None:
            return queryset.filter(pk=key), False
        return cast("UserQuerySet", queryset).search(text), False

    @admin.display(description=gettext_lazy("account"), ordering="email")
    def account(self, user: User) -> SafeString:
        return format_html("<strong>{}</strong><br>{}", user.email, user.name)

    @admin.display(description=gettext_lazy("role"))
    def role_name(self, user: User) -> str | SafeString:
        return role_cell(user)

    @admin.display(description=gettext_lazy("state"))
    def state(self, user: User) -> SafeString:
        found = state_of(user)
        words = {found.value: STATE_LABELS[found]} | badges_of(user)
        badges = format_html_join(" ", '<span class="state state-{}">{}</span>', words.items())
        if user.expires_at is None or found == State.ENDED:
            return badges
        return format_html('{}<span class="detail">{}</span>', badges, until(user.expires_at))

    @admin.display(description=gettext_lazy("responsible person"))
    def answers(self, user: User) -> SafeString:
        person = user.responsible
        link = user_link(user.responsible_id, person.email if person else None)
        is_present = person is not None and person.is_active
        if is_present and person is not None and not person.is_expired(timezone.now()):
            return format_html("{}", link)
        if user.responsible_group_id and service_accounts.has_responsible(user):
            return format_html('{}<span class="detail">{}</span>', link, _("Its group answers"))
        alone = badge("warn", _("Nobody answers for it"))
        return format_html('{}<span class="detail">{}</span>', link, alone)

    @admin.display(description=gettext_lazy("name"))
    def called(self, user: User) -> str:
        return user.email

    created = moment_column("created_at", gettext_lazy("created"))

    # The page of one account

    def get_urls(self) -> list[URLPattern]:
        buttons = [
            path(
                f"<uuid:key>/{name}/",
                self.admin_site.admin_view(require_POST(action_view(self, action))),
                name=f"accounts_serviceaccount_{name}",
            )
            for name, action in SERVICE_ACTIONS.items()
        ]
        return [*buttons, *super().get_urls()]

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        ends = (
            gettext_lazy("Until when"),
            {"fields": ("role_until", "role_after", "expires_at")},
        )
        first = "username" if obj is None else "called"
        own = (None, {"fields": (first, "name", "responsible", "team", "role")})
        return [own, ends] if obj is None else [own, ends, _DETAILS]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        return () if obj is None else ("called", "username", "state", "created", "id")

    def get_form(
        self, request: HttpRequest, obj: User | None = None, change: bool = False, **options: Any
    ) -> Any:
        """A form class for this request, which knows the administrator."""
        form: Any = super().get_form(request, obj, change, **options)
        form.actor = acting_admin(request)
        form.service_error = getattr(request, "gatehouse_service_error", None)
        return form

    def page_context(self, request: HttpRequest, row: User) -> dict[str, Any]:
        return hub.page_context(request, row)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Roll back what a service refuses, and show the form again with the reason."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except GatehouseError as error:
            request.gatehouse_service_error = error  # type: ignore[attr-defined]  # read by get_form()
            return super().changeform_view(request, object_id, form_url, extra_context)

    def save_model(
        self, request: HttpRequest, obj: User, form: ServiceAccountForm, change: bool
    ) -> None:
        """Pass the input to the services. Raises what they raise; see changeform_view()."""
        actor, typed = acting_admin(request), form.cleaned_data
        if change:
            _edit(actor, obj, form)
            return
        made = service_accounts.create_service_account(
            actor=actor,
            username=typed["username"],
            responsible=typed["responsible"],
            role=typed["role"],
            name=typed["name"],
            expires_at=typed["expires_at"],
            role_until=typed["role_until"],
            role_after=typed["role_after"],
            source="panel",
            team=typed["team"],
        )
        obj.pk, obj.email = made.pk, made.email

    def response_post_save_add(self, request: HttpRequest, obj: User) -> HttpResponseRedirect:
        """Its page, where it gets its first key."""
        return redirect("admin:accounts_serviceaccount_change", obj.pk)

    # Deletion

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Names and counts of what is deleted. accounts.roles decides about permissions."""
        lines, counts = deletion_summary(list(objs))
        return lines, counts, set(), []

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except GatehouseError as error:
            messages.error(request, error.sentences)
            return redirect("admin:accounts_serviceaccount_change", object_id)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        users.delete_user(actor=acting_admin(request), user=obj)

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        """There is no such action."""
        raise NotImplementedError


_DETAILS: Any = (gettext_lazy("Details"), {"fields": ("state", "created", "id")})


def _edit(actor: User, user: User, form: ServiceAccountForm) -> None:
    """Pass only changed fields to the services, so that the audit log names nothing else."""
    changed, typed = set(form.changed_data), form.cleaned_data
    if "name" in changed:
        users.edit_profile(actor=actor, user=user, profile=Profile(name=typed["name"]))
    if changed.intersection(ROLE_AND_END):
        ends = {"until": typed["role_until"], "then": typed["role_after"]}
        users.change_role(actor=actor, user=user, role=typed["role"], **ends)
    if "expires_at" in changed:
        users.set_expiry(actor=actor, user=user, expires_at=typed["expires_at"])
    if "responsible" in changed:
        service_accounts.hand_over(actor=actor, user=user, responsible=typed["responsible"])
    if "team" in changed:
        service_accounts.give_to_team(actor=actor, user=user, team=typed["team"])
