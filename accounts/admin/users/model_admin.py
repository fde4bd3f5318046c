"""The user list and the page of one user. Every write is a call of accounts.services."""

from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.actions import Action, exempt_user_actions, user_actions
from accounts.admin.base import (
    SEARCH_MAX_LENGTH,
    AccountPage,
    acting_admin,
    as_uuid,
)
from accounts.admin.bulk_actions import TickedRowsAdmin
from accounts.admin.columns import moment_column, role_cell, until
from accounts.admin.errors import tell_error
from accounts.admin.lists import COUNT_CAP
from accounts.admin.navigation import MenuGroup
from accounts.admin.site import site
from accounts.admin.users import exporting, finding, groups, hub, importing, own_sections
from accounts.admin.users import pages as user_pages
from accounts.admin.users.actions import sign_out_if_ended
from accounts.admin.users.bulk import BULK_ACTIONS
from accounts.admin.users.filters import (
    STATE_LABELS,
    CreatedFilter,
    EndsFilter,
    FactorFilter,
    LastSignInFilter,
    RoleFilter,
    State,
    StateFilter,
    VerifiedFilter,
    badges_of,
    state_of,
    with_badges,
)
from accounts.admin.users.forms import AddUserForm, UserForm
from accounts.admin.users.groups import GroupFilter
from accounts.admin.users.list_columns import (
    list_columns,
    state_details_of,
    with_list_columns,
)
from accounts.admin.users.row_actions import row_actions
from accounts.models import Kind, User, UserQuerySet
from accounts.services import users
from accounts.services.account_changes import change_account
from accounts.services.approvals.rule import TwoPersonRequired, recording
from core.errors import GatehouseError

own_sections.register()
groups.register()
EDITABLE = ("email", "name", "username", "role")
ROLE_AND_END = ("role", "role_until", "role_after")
READ_ONLY = ("state", "verified_at", "last_sign_in", "created", "id")


@admin.register(User, site=site)
class UserAdmin(AccountPage, TickedRowsAdmin):
    """All users. Only those whose role is below the administrator's can be changed or deleted."""

    form = UserForm
    list_display = ("person", "role_name", "state", "verified", "last_sign_in", "created")
    list_display_links = ("person",)
    list_filter = (
        RoleFilter,
        GroupFilter,
        StateFilter,
        EndsFilter,
        VerifiedFilter,
        FactorFilter,
        LastSignInFilter,
        CreatedFilter,
    )
    search_fields = ("email", "username", "name")
    search_help_text = gettext_lazy("Part of an address, a name or a user name, or a whole id")
    ordering = ("-id",)
    sortable_by = ("person", "last_sign_in", "created")
    title = gettext_lazy("People")
    menu_group = MenuGroup.USERS
    menu_position = 10
    help_page = "admin-panel"
    empty_text = gettext_lazy("Everyone who has an account is listed here.")
    empty_page = ("admin:accounts_user_add", gettext_lazy("Add a person"))
    tick_warning = gettext_lazy("Nothing was changed: please tick people of the list.")

    # What needs no recent authentication; see accounts.admin.sensitive_actions

    @property
    def exempt_pages(self) -> frozenset[str]:  # type: ignore[override]  # apps add theirs later
        own = {"accounts_user_disable", "accounts_user_end-sessions", "accounts_user_import"}
        rows = {name for name, action in row_actions().items() if not action.is_sensitive}
        return frozenset(own | {f"accounts_user_{name}" for name in rows})

    @property
    def page_labels(self) -> dict[str, Any]:
        return {name: action.label for name, action in row_actions().items()}

    @property
    def exempt_actions(self) -> frozenset[str]:
        return frozenset({"disable_people", "end_sessions_people"}) | exempt_user_actions()

    # The list

    @property
    def actions(self) -> list[Action]:  # type: ignore[override]  # a property: apps add theirs later
        return [*BULK_ACTIONS, *user_actions().values()]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[User]":
        """People. The page of a service account is in accounts.admin.service_accounts."""
        found = super().get_queryset(request).filter(kind=Kind.PERSON)
        return with_list_columns(with_badges(found))

    def get_list_display(self, request: HttpRequest) -> Any:
        return [*self.list_display, *list_columns()]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        """Find parts of an address, user name or name; a whole id or address finds one user."""
        text = search_term.strip()[:SEARCH_MAX_LENGTH]
        if "\x00" in text:
            return queryset.none(), False
        key = as_uuid(text)
        if key is not None:
            return queryset.filter(pk=key), False
        return _search_once(cast("UserQuerySet", queryset), text), False

    @admin.display(description=gettext_lazy("person"), ordering="email")
    def person(self, user: User) -> SafeString:
        return format_html(
            "<strong>{}</strong><br>{}{}",
            user.name or user.email,
            user.email if user.name else "",
            f" · {user.username}" if user.username else "",
        )

    @admin.display(description=gettext_lazy("role"))
    def role_name(self, user: User) -> str | SafeString:
        return role_cell(user)

    @admin.display(description=gettext_lazy("state"))
    def state(self, user: User) -> SafeString:
        found = state_of(user)
        words = {found.value: STATE_LABELS[found]} | badges_of(user)
        badges = format_html_join(" ", '<span class="state state-{}">{}</span>', words.items())
        texts: list[Any] = list(state_details_of(user))
        if user.expires_at is not None and found != State.ENDED:
            texts.append(until(user.expires_at))
        details = format_html_join(
            "", '<span class="detail">{}</span>', ((text,) for text in texts)
        )
        return format_html("{}{}", badges, details)

    @admin.display(description=gettext_lazy("verified"), boolean=True)
    def verified(self, user: User) -> bool:
        return user.is_verified

    verified_at = moment_column(
        "email_verified_at", gettext_lazy("address verified"), gettext_lazy("No")
    )

    last_sign_in = moment_column("last_login", gettext_lazy("last sign-in"), gettext_lazy("Never"))
    created = moment_column("created_at", gettext_lazy("created"))

    # The page of one user

    def get_urls(self) -> list[URLPattern]:
        return [
            *importing.urls(self),
            *exporting.urls(self),
            *finding.urls(self),
            *user_pages.urls(self),
            *super().get_urls(),
        ]

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        if obj is None:
            fields = {"fields": (*EDITABLE, "email_verified"), "description": _ADD_HELP}
            return [(None, fields), _ENDS]
        own = (*EDITABLE, "role_locked")
        return [(None, {"fields": own}), _ENDS, (_("Details"), {"fields": READ_ONLY})]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Your own address is read-only here: the account page verifies a new one."""
        if obj is None:
            return ()
        is_self = obj.pk == acting_admin(request).pk
        return (*READ_ONLY, "email") if is_self else READ_ONLY

    def get_form(
        self, request: HttpRequest, obj: User | None = None, change: bool = False, **options: Any
    ) -> Any:
        """A form class for this request, which knows the administrator."""
        if not change:
            options["form"] = AddUserForm
        form: Any = super().get_form(request, obj, change, **options)
        form.actor = acting_admin(request)
        form.service_error = getattr(request, "gatehouse_service_error", None)
        return form

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Lists link every account here: lead to the page of a service account."""
        key = as_uuid(object_id)
        if key is not None and User.objects.service_accounts().filter(pk=key).exists():
            return redirect("admin:accounts_serviceaccount_change", key)
        return super().change_view(request, object_id, form_url, extra_context)

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
            with recording():
                return super().changeform_view(request, object_id, form_url, extra_context)
        except TwoPersonRequired:
            raise  # ErrorPageMiddleware leads to the request
        except GatehouseError as error:
            request.gatehouse_service_error = error  # type: ignore[attr-defined]  # read by get_form()
            return super().changeform_view(request, object_id, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: User, form: UserForm, change: bool) -> None:
        """Pass the input to the services. Raises what they raise; see changeform_view()."""
        actor = acting_admin(request)
        if change:
            change_account(actor=actor, user=obj, changes=_changes(form))
            sign_out_if_ended(request)
            return
        typed = form.cleaned_data
        made = users.create_user(
            actor=actor,
            email=typed["email"],
            role=typed["role"],
            name=typed["name"],
            username=typed["username"] or None,
            verified=typed["email_verified"],
            expires_at=typed["expires_at"],
            role_until=typed["role_until"],
            role_after=typed["role_after"],
        )
        obj.pk, obj.email = made.pk, made.email

    # Deletion

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Names and counts of what is deleted. accounts.roles decides about permissions."""
        lines, counts = user_pages.deletion_summary(list(objs))
        return lines, counts, set(), []

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            with recording():
                return super().delete_view(request, object_id, extra_context)
        except GatehouseError as error:
            tell_error(request, error)
            return redirect("admin:accounts_user_change", object_id)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        users.delete_user(actor=acting_admin(request), user=obj)
        sign_out_if_ended(request)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            users.delete_user(actor=acting_admin(request), user=user)


def _search_once(found: UserQuerySet, text: str) -> UserQuerySet:
    """The users that `text` finds, at most COUNT_CAP + 1.

    A part of a name has to be searched in every row. This is done once, in a narrow index of names;
    the count and the page of the list then read by primary key.
    """
    if not text:
        return found
    exactly = found.with_address(text)
    if exactly is not None:
        return exactly
    return found.filter(pk__in=found.found_ids(text, COUNT_CAP + 1))


_ENDS: Any = (
    gettext_lazy("Until when"),
    {"fields": ("role_until", "role_after", "expires_at")},
)
_ADD_HELP = gettext_lazy(
    "No password is set here. Afterwards tick the person in the list and choose "
    "“Get email login URL”, or start a password reset on the person's page, and hand the link over."
)


def _changes(form: UserForm) -> dict[str, Any]:
    """Only changed fields, so that the audit log names nothing else; a role with its end."""
    changed = {name: form.cleaned_data[name] for name in form.changed_data}
    if any(name in changed for name in ROLE_AND_END):
        changed |= {name: form.cleaned_data[name] for name in ROLE_AND_END}
    return changed
