"""The table of tokens with which apps register themselves. Admins read it, owners change it."""

from datetime import timedelta
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.base import ReadOnlyAdmin, ServiceFormAdmin, acting_admin
from accounts.admin.columns import NOTHING, badge, moment_column
from accounts.admin.site import site
from accounts.admin.site_pages import is_owner
from accounts.admin.users.forms import GroupsField, offer_groups
from accounts.roles import Role
from accounts.sent_forms import show_once
from applications.models import App
from applications.services.apps import names_of_groups
from oidc_provider.models import InitialAccessToken
from oidc_provider.services.registration import (
    MAX_USES,
    IssuedToken,
    create_token,
    delete_token,
)
from oidc_provider.views.metadata import url_of

CHANGELIST = "admin:oidc_provider_initialaccesstoken_changelist"
TEMPLATES = "admin/oidc_provider/initialaccesstoken"
STATES: dict[str, tuple[str, Any]] = {
    "live": ("good", gettext_lazy("Works")),
    "spent": ("plain", gettext_lazy("Used up")),
    "expired": ("plain", gettext_lazy("Ended")),
}


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """What may be registered with a new token, by how many apps, and until when."""

    openid_role = forms.ChoiceField(
        label=gettext_lazy("Lowest role"), choices=App.LEVELS, initial=Role.VIEWER.value,
        help_text=gettext_lazy("Who may sign in to these apps: people with it or a higher one."),
    )  # fmt: skip
    openid_group_ids = GroupsField(label=gettext_lazy("Only these groups"))
    max_uses = forms.IntegerField(
        label=gettext_lazy("Apps at most"), min_value=1, max_value=MAX_USES, initial=1
    )
    days = forms.TypedChoiceField(
        label=gettext_lazy("Works for"), coerce=int, initial=1,
        choices=[
            (1, gettext_lazy("1 day")),
            (7, gettext_lazy("7 days")),
            (30, gettext_lazy("30 days")),
            (90, gettext_lazy("90 days")),
        ],
    )  # fmt: skip

    class Meta:
        model = InitialAccessToken
        fields = ("name", "openid_role", "openid_group_ids", "max_uses")
        help_texts = {"name": gettext_lazy("For whom it is. It is shown beside each of the apps.")}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["name"].widget.attrs["autocomplete"] = "off"
        offer_groups(self.fields["openid_group_ids"])


@admin.register(InitialAccessToken, site=site)
class InitialAccessTokenAdmin(ServiceFormAdmin, ReadOnlyAdmin):
    """Each token until an owner deletes it; the token itself only when it is made."""

    title = gettext_lazy("Registration of apps")
    add_title = gettext_lazy("Make a registration token")
    saves_once = True
    menu_parent = "applications.App"
    help_page = "openid-provider"
    list_display = ("name", "state", "used", "role", "groups", "ends")
    detail_fields = ("name", "state", "used", "role", "groups", "ends", "created_at")
    delete_confirmation_template = f"{TEMPLATES}/delete_confirmation.html"
    empty_text = gettext_lazy(
        "No app can register itself. With a token, a program of your choice registers apps, and "
        "people are asked before they sign in to one of them."
    )
    empty_page = (
        "admin:oidc_provider_initialaccesstoken_add",
        gettext_lazy("Make a registration token"),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_owner(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return is_owner(request)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any
    ) -> Any:
        return super().get_form(request, obj, change, **options) if change else TokenForm

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return (*TokenForm.Meta.fields, "days") if obj is None else super().get_fields(request, obj)

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: InitialAccessToken) -> SafeString:
        return badge(*STATES[row.state(timezone.now())])

    @admin.display(description=gettext_lazy("apps"))
    def used(self, row: InitialAccessToken) -> str:
        return _("%(uses)d of %(most)d") % {"uses": row.uses, "most": row.max_uses}

    @admin.display(description=gettext_lazy("lowest role"))
    def role(self, row: InitialAccessToken) -> str:
        return str(row.get_openid_role_display())

    @admin.display(description=gettext_lazy("only these groups"))
    def groups(self, row: InitialAccessToken) -> str:
        found = names_of_groups(App(openid_group_ids=row.openid_group_ids))
        names = [found.get(key, _("a deleted group")) for key in row.openid_group_ids]
        return ", ".join(names) or NOTHING

    ends = moment_column("expires_at", gettext_lazy("ends"))

    def save_model(
        self, request: HttpRequest, obj: InitialAccessToken, form: Any, change: bool
    ) -> None:
        values = {name: form.cleaned_data[name] for name in TokenForm.Meta.fields}
        lifetime = timedelta(days=form.cleaned_data["days"])
        issued = create_token(actor=acting_admin(request), values=values, lifetime=lifetime)
        obj.pk = issued.token.pk
        request.issued = issued  # type: ignore[attr-defined]  # read by response_add()

    def response_add(
        self, request: HttpRequest, obj: Model, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The token, which is shown in this response only."""
        issued = cast("IssuedToken", request.issued)  # type: ignore[attr-defined]  # save_model()
        context = self.admin_site.each_context(request) | {
            "title": _("The registration token"),
            "subtitle": issued.token.name,
            "opts": self.opts,
            "original": issued.token,
            "token": issued.text,
            "endpoint": url_of("registration"),
        }
        return show_once(render(request, f"{TEMPLATES}/secret.html", context), reverse(CHANGELIST))

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        """Back to the list, which Django leads to only where rows can be changed."""
        super().response_delete(request, obj_display, obj_id)
        return redirect(CHANGELIST)

    def delete_model(self, request: HttpRequest, obj: InitialAccessToken) -> None:
        delete_token(actor=acting_admin(request), token=obj)

    def delete_queryset(
        self, request: HttpRequest, queryset: "QuerySet[InitialAccessToken]"
    ) -> None:
        """There is no such action."""
        raise NotImplementedError
