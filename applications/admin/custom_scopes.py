"""The table of scopes that owners make. Admins read it, owners change it."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.base import RowPage, ServiceFormAdmin, acting_admin
from accounts.admin.columns import badge
from accounts.admin.site import site
from accounts.admin.site_pages import is_owner
from applications.models import App, CustomScope
from applications.services.custom_scopes import (
    apps_with,
    clean_values,
    create_scope,
    delete_scope,
    edit_scope,
)
from core.errors import RecordInvalid

SHOWN = ("name", "description", "audience", "is_public")


class ScopeForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """applications.custom_scopes validates the fields."""

    audience = forms.ModelChoiceField(
        App.objects.all(), label=gettext_lazy("API"), required=False,
        help_text=gettext_lazy(
            "The app whose backend is sent tokens with this scope, and may ask about them. Empty: "
            "only the app that was given them."
        ),
    )  # fmt: skip

    class Meta:
        model = CustomScope
        fields = SHOWN
        help_texts = {
            "name": gettext_lazy(
                "What apps send, such as books:read. It never changes; make another scope instead."
            ),
            "description": gettext_lazy(
                "What the app may do. People read it when an app asks for it: “… asks to: read "
                "your books”."
            ),
            "is_public": gettext_lazy("Everyone can read the name in the discovery document."),
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "name" in self.fields:
            self.fields["name"].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    def clean(self) -> dict[str, Any]:
        """Normalize the fields, and add the errors."""
        typed: dict[str, Any] = super().clean() or self.cleaned_data
        try:
            return clean_values(typed)
        except RecordInvalid as error:
            for name, texts in error.errors.items():
                self.add_error(name, texts)
        return {name: value for name, value in typed.items() if name in self.cleaned_data}


@admin.register(CustomScope, site=site)
class CustomScopeAdmin(ServiceFormAdmin, RowPage):
    """The scopes by name."""

    title = gettext_lazy("Scopes")
    add_title = gettext_lazy("Add a scope")
    saves_once = True
    menu_parent = "applications.App"
    help_page = "openid-provider"
    form = ScopeForm
    fields = SHOWN
    ordering: ClassVar[tuple[str, ...]] = ("name",)
    list_display = ("code", "description", "audience", "in_discovery")
    list_select_related = ("audience",)
    actions = None
    delete_confirmation_template = "admin/applications/customscope/delete_confirmation.html"
    empty_text = gettext_lazy(
        "With a scope of your own, an app asks people for something that your own API opens, such "
        "as books:read."
    )
    empty_page = ("admin:applications_customscope_add", gettext_lazy("Add a scope"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_owner(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return is_owner(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return is_owner(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return () if obj is None else ("name",)

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        names = ", ".join(app.name for app in apps_with(row))
        asked_by = _("Apps that may ask for it: %(names)s.") % {"names": names} if names else None
        return {"title": row.name, "subtitle": asked_by}

    @admin.display(description=gettext_lazy("name"))
    def code(self, row: CustomScope) -> SafeString:
        return format_html("<code>{}</code>", row.name)

    @admin.display(description=gettext_lazy("in discovery"))
    def in_discovery(self, row: CustomScope) -> SafeString:
        return badge("good", _("Yes")) if row.is_public else badge("plain", _("No"))

    def save_model(self, request: HttpRequest, obj: CustomScope, form: Any, change: bool) -> None:
        actor, values = acting_admin(request), dict(form.cleaned_data)
        audience = values.pop("audience")
        values["audience_id"] = None if audience is None else audience.pk
        if change:
            edit_scope(actor=actor, scope=obj, changes=values)
        else:
            obj.pk = create_scope(actor=actor, values=values).pk

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask, and name the apps that lose it."""
        scope = self.get_object(request, object_id)
        context = {} if scope is None else {"apps": apps_with(scope)}
        return super().delete_view(request, object_id, context | (extra_context or {}))

    def delete_model(self, request: HttpRequest, obj: CustomScope) -> None:
        delete_scope(actor=acting_admin(request), scope=obj)

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[CustomScope]") -> None:
        """There is no such action."""
        raise NotImplementedError
