"""The page "Export users": CSV of all users, or of those that a filter finds."""

from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.base import SEARCH_MAX_LENGTH, acting_admin
from accounts.forms import GatehouseForm
from accounts.models import ROLE_LABELS, User
from accounts.services.bulk.exports import BYTE_ORDER_MARK, ExportFilter, export_users


class ExportForm(GatehouseForm):
    """Which users are exported."""

    search = forms.CharField(
        label=gettext_lazy("Search"),
        required=False,
        max_length=SEARCH_MAX_LENGTH,
        help_text=gettext_lazy("Part of an address, a name or a user name; empty for all."),
    )
    role = forms.ChoiceField(
        label=gettext_lazy("Role"),
        required=False,
        choices=[("", gettext_lazy("All")), *ROLE_LABELS],
    )
    state = forms.ChoiceField(
        label=gettext_lazy("State"),
        required=False,
        choices=[
            ("", gettext_lazy("All")),
            ("active", gettext_lazy("Active")),
            ("disabled", gettext_lazy("Disabled")),
        ],
    )

    @property
    def chosen(self) -> ExportFilter:
        given = self.cleaned_data
        states = {"active": True, "disabled": False}
        return ExportFilter(given["search"], given["role"], states.get(given["state"]))


def urls(modeladmin: "ModelAdmin[User]") -> list[URLPattern]:
    """export/: GET shows the form, POST downloads the file."""

    def export(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """The form; posted, the file."""
        form = ExportForm(request.POST if request.method == "POST" else None)
        if form.is_valid() and form.chosen.users().exists():
            return _download(request, form.chosen)
        if form.is_bound and not form.errors:
            form.add_error(None, _("No account matches."))
        return _page(modeladmin, request, form)

    return [
        path("export/", modeladmin.admin_site.admin_view(export), name="accounts_user_export"),
    ]


def _page(modeladmin: Any, request: HttpRequest, form: ExportForm) -> HttpResponse:
    template = "admin/accounts/user/export.html"
    page: HttpResponse = modeladmin.own_form_page(request, template, form, _("Export users"))
    return page


def _download(request: HttpRequest, chosen: ExportFilter) -> StreamingHttpResponse:
    lines = export_users(actor=acting_admin(request), chosen=chosen)

    def parts() -> Any:
        yield BYTE_ORDER_MARK
        yield from lines

    response = StreamingHttpResponse(parts(), content_type="text/csv; charset=utf-8")
    name = f"users-{timezone.localdate().isoformat()}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response
