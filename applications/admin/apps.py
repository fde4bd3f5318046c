"""The table of apps. Admins read it, owners change it; a new app comes through the wizard."""

import json
from collections.abc import Iterable
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.base import RowPage, ServiceFormAdmin, acting_admin
from accounts.admin.columns import NOTHING, badge
from accounts.admin.navigation import MenuGroup
from accounts.admin.site import site
from accounts.admin.users.filters import ChoiceFilter, Option
from accounts.models import Group, User
from accounts.models.users import Kind
from accounts.roles import Role
from applications.addresses import clean_app
from applications.admin.sections import pages_of, remainder_of, sections_of
from applications.client_keys import MAX_KEYS_TEXT, keys_of
from applications.models import App, CustomScope
from applications.services.apps import (
    FIELDS,
    MAX_APPS,
    consequence,
    delete_app,
    edit_app,
    needs_confirmation,
    openid_errors,
    values_of,
)

# The wizard belongs to forward auth, which this app does not import.
WIZARD = "admin:applications_app_protect"
PROTOCOL = (
    *("openid_kind", "redirect_uris", "is_trusted"),
    *("id_token_algorithm", "signed_userinfo", "subject_type", "service_account"),
    *("client_authentication", "client_keys", "client_keys_url"),
    *("requires_pushed_requests", "allows_device_flow", "custom_scopes"),
)
ENTRY = (
    *("openid_role", "openid_group_ids", "openid_people", "openid_networks", "openid_hours"),
    "openid_second_factor",
)
SIGNING_OUT = ("logout_uris", "backchannel_logout_uri", "frontchannel_logout_uri")
OPENID = (*PROTOCOL, *ENTRY, *SIGNING_OUT)
WITH_DEFAULT = ("openid_role", "client_authentication", "subject_type")
NOTICE_URIS = ("backchannel_logout_uri", "frontchannel_logout_uri")


class LinesField(forms.CharField):
    """A list of texts, one on each line."""

    widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        """The lines that are not empty."""
        text = super().clean(value)
        return [line.strip() for line in text.splitlines() if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((initial or []) != self.clean(data or ""))


class PeopleField(LinesField):
    """Users by their addresses; stored are their ids. An account that is gone is left out."""

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        found = User.objects.filter(pk__in=value).order_by("email")
        return "\n".join(found.values_list("email", flat=True))

    def clean(self, value: Any) -> Any:
        """Ids. Raises ValidationError that names the addresses without an account."""
        lines = super().clean(value)
        users = [(line, User.objects.with_login(line).first()) for line in lines]
        unknown = [line for line, user in users if user is None]
        if unknown:
            raise forms.ValidationError(
                _("No account has this address: %(names)s.") % {"names": ", ".join(unknown)}
            )
        return [str(user.pk) for _line, user in users if user is not None]

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return set(initial or []) != set(self.clean(data or ""))
        except forms.ValidationError:
            return True


class ServiceAccountField(forms.ChoiceField):
    """The service accounts by their names; stored is an id. One that is gone may stay."""

    def offer(self, current: str) -> None:
        """Read the choices. current: what is stored."""
        accounts = User.objects.filter(kind=Kind.SERVICE).order_by("username")
        names = {str(pk): name for pk, name in accounts.values_list("pk", "username")}
        gone = {current: _("an account that is gone")} if current and current not in names else {}
        self.choices = [("", "---------"), *(names | gone).items()]


class KeysField(forms.CharField):
    """Public keys as the text of a JWK set; applications.client_keys reads it."""

    widget = forms.Textarea(attrs={"rows": 4, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return json.dumps({"keys": value}, indent=1) if value else ""

    def clean(self, value: Any) -> Any:
        """The keys. Raises ValidationError."""
        try:
            return keys_of(super().clean(value))
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool((initial or []) != self.clean(data or ""))
        except forms.ValidationError:
            return True


class AppForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """applications.addresses validates the fields."""

    redirect_uris = LinesField(
        label=gettext_lazy("Redirect URIs"), required=False,
        help_text=App._meta.get_field("redirect_uris").help_text,
    )  # fmt: skip
    logout_uris = LinesField(
        label=gettext_lazy("Addresses after signing out"), required=False,
        help_text=App._meta.get_field("logout_uris").help_text,
    )  # fmt: skip
    openid_people = PeopleField(
        label=gettext_lazy("Only these people"), required=False,
        help_text=App._meta.get_field("openid_people").help_text,
    )  # fmt: skip

    openid_group_ids = forms.MultipleChoiceField(
        label=gettext_lazy("Only these groups"),
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=gettext_lazy(
            "Only people in one of the ticked groups, who also have the role. None ticked: "
            "everyone with the role."
        ),
    )
    openid_networks = LinesField(
        label=gettext_lazy("Only from these networks"), required=False,
        help_text=App._meta.get_field("openid_networks").help_text,
    )  # fmt: skip
    openid_hours = LinesField(
        label=gettext_lazy("Only at these hours"), required=False,
        help_text=App._meta.get_field("openid_hours").help_text,
    )  # fmt: skip
    custom_scopes = forms.MultipleChoiceField(
        label=gettext_lazy("Scopes of your own"),
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=App._meta.get_field("custom_scopes").help_text,
    )
    service_account = ServiceAccountField(
        label=gettext_lazy("Acts as"), required=False,
        help_text=App._meta.get_field("service_account").help_text,
    )  # fmt: skip
    client_keys = KeysField(
        label=gettext_lazy("Public keys"), required=False, max_length=MAX_KEYS_TEXT,
        help_text=App._meta.get_field("client_keys").help_text,
    )  # fmt: skip

    # Shown only beside a change that needs it.
    confirmed = forms.BooleanField(
        label=gettext_lazy("Change the ids, and people get new accounts in the app"), required=False
    )

    class Meta:
        model = App
        fields = (*FIELDS,)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in ("name", "slug", "url", "upstream", "initials", *NOTICE_URIS):
            if name in self.fields:
                self.fields[name].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}
        if "openid_group_ids" in self.fields:
            self._offer_groups(cast("forms.MultipleChoiceField", self.fields["openid_group_ids"]))
        if "custom_scopes" in self.fields:
            self._offer_scopes(cast("forms.MultipleChoiceField", self.fields["custom_scopes"]))
        account = self.fields.get("service_account")
        if isinstance(account, ServiceAccountField):
            account.offer(self.instance.service_account)
        for name in ("slug", *WITH_DEFAULT):
            if name in self.fields:
                self.fields[name].required = False

    def _offer_groups(self, field: forms.MultipleChoiceField) -> None:
        """All groups, and deleted ones that the app asks for: dropping one would open the app."""
        groups = {str(group.pk): str(group) for group in Group.objects.order_by("name")}
        kept = [key for key in self.instance.openid_group_ids if key not in groups]
        gone = {key: _("a deleted group") for key in kept}
        field.choices = [*groups.items(), *gone.items()]
        if not field.choices:
            field.help_text = _("There is no group yet.")

    def _offer_scopes(self, field: forms.MultipleChoiceField) -> None:
        field.choices = [
            (scope.name, f"{scope.name}: {scope.description}")
            for scope in CustomScope.objects.all()
        ]
        if not field.choices:
            field.help_text = _("There is no scope of your own yet.")

    def clean(self) -> dict[str, Any]:
        """Normalize the fields, and add the errors."""
        typed: dict[str, Any] = super().clean() or self.cleaned_data
        if "openid_role" in typed:
            for name in WITH_DEFAULT:
                typed[name] = typed[name] or getattr(self.instance, name)
        cleaned, errors = clean_app(typed)
        if not errors and "openid_kind" in cleaned:
            errors = openid_errors(
                App(**{name: cleaned[name] for name in OPENID if name in cleaned})
            )
        errors |= self._unconfirmed(cleaned)
        for name, texts in errors.items():
            self.add_error(name, texts)
        return {name: value for name, value in cleaned.items() if name not in errors}

    def _unconfirmed(self, cleaned: dict[str, Any]) -> dict[str, list[str]]:
        is_asked = needs_confirmation(values_of(self.instance), cleaned)
        return {"subject_type": [consequence()]} if is_asked and not cleaned["confirmed"] else {}


class RegisteredFilter(ChoiceFilter):
    """By whom the app came here."""

    title = gettext_lazy("added")
    parameter_name = "added"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        return [
            ("by-owners", gettext_lazy("by an owner"), Q(is_self_registered=False)),
            ("by-itself", gettext_lazy("by itself"), Q(is_self_registered=True)),
        ]


@admin.register(App, site=site)
class AppAdmin(ServiceFormAdmin, RowPage):
    """The apps, in the order of the launcher."""

    title = gettext_lazy("Apps")
    menu_group = MenuGroup.ACCESS
    menu_position = 5
    help_page = "apps"
    form = AppForm
    ordering: ClassVar[tuple[str, ...]] = ("position", "pk")
    list_filter = (RegisteredFilter,)
    empty_text = gettext_lazy(
        "An app is a site of your team that people reach through Gatehouse. The assistant asks who "
        "may enter, writes the configuration of your proxy, and tests it."
    )
    empty_page = (WIZARD, gettext_lazy("Protect an app"))
    list_per_page = MAX_APPS
    list_display = ("label", "address", "kind", "listed")
    actions = None
    change_list_template = "admin/applications/app/change_list.html"
    change_form_template = "admin/applications/app/change_form.html"
    repeatable: ClassVar[frozenset[str]] = frozenset({"openid_group_ids", "custom_scopes"})
    page_labels = {"revoke": gettext_lazy("Revoke the secret")}
    delete_confirmation_template = "admin/applications/app/delete_confirmation.html"
    fieldsets = (
        (None, {"fields": ("name", "url", "description")}),
        (gettext_lazy("On the account page"), {"fields": ("is_listed", "initials", "position")}),
        (gettext_lazy("Proxy"), {"fields": ("proxy", "upstream", "slug")}),
        (gettext_lazy("OpenID Connect"), {"fields": PROTOCOL}),
        (gettext_lazy("Who may sign in by OpenID Connect"), {"fields": ENTRY}),
        (gettext_lazy("Signing out"), {"fields": SIGNING_OUT}),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_owner(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _is_owner(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _is_owner(request)

    def get_urls(self) -> list[URLPattern]:
        return [*pages_of(self), *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The wizard, which also makes the access rules."""
        return redirect(WIZARD)

    def empty_link(self, request: HttpRequest) -> tuple[str, Any] | None:
        """The wizard, for those who may use it."""
        return super().empty_link(request) if self.has_add_permission(request) else None

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {
            "title": row.name,
            "subtitle": None,
            "show_save_and_add_another": False,
            "sections": sections_of(request, row),
        }

    @admin.display(description=gettext_lazy("name"))
    def label(self, row: App) -> SafeString:
        mark = badge("warn", _("Registered itself")) if row.is_self_registered else ""
        return format_html(
            '<span class="app-mark" aria-hidden="true">{}</span> {} {}', row.mark, row.name, mark
        )

    @admin.display(description=gettext_lazy("Address"))
    def address(self, row: App) -> SafeString:
        return format_html("<code>{}</code>", row.url)

    @admin.display(description=gettext_lazy("proxy"))
    def kind(self, row: App) -> str:
        return str(row.get_proxy_display()) if row.proxy else NOTHING

    @admin.display(description=gettext_lazy("on the account page"))
    def listed(self, row: App) -> SafeString:
        return badge("good", _("Yes")) if row.is_listed else badge("plain", _("No"))

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """With the box to confirm other ids of people, when somebody changes them."""
        stored = App.objects.filter(pk=obj.pk).first() if obj and request.method == "POST" else None
        sent = request.POST.get("subject_type")
        if stored is None or sent in (None, "", stored.subject_type):
            return self.fieldsets
        place = PROTOCOL.index("subject_type") + 1
        fields = (*PROTOCOL[:place], "confirmed", *PROTOCOL[place:])
        return [
            (title, {"fields": fields} if options["fields"] == PROTOCOL else options)
            for title, options in self.fieldsets
        ]

    def save_model(self, request: HttpRequest, obj: App, form: Any, change: bool) -> None:
        changes = {name: form.cleaned_data[name] for name in form.changed_data if name in FIELDS}
        confirmed = form.cleaned_data["confirmed"]
        edit_app(actor=acting_admin(request), app=obj, changes=changes, confirmed=confirmed)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask, and say what stays."""
        app = self.get_object(request, object_id)
        context = {} if app is None else {"remainder": remainder_of(app)}
        return super().delete_view(request, object_id, context | (extra_context or {}))

    def delete_model(self, request: HttpRequest, obj: App) -> None:
        delete_app(actor=acting_admin(request), app=obj)

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[App]") -> None:
        """There is no such action."""
        raise NotImplementedError


def _is_owner(request: HttpRequest) -> bool:
    user = request.user
    return isinstance(user, User) and user.role == Role.OWNER
