"""The pages that save and remove a view of a list."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.admin.base import acting_admin
from accounts.services.saved_views import remove_view, save_view
from core.errors import RecordInvalid


def urls(site: AdminSite) -> list[URLPattern]:
    """views/save/ and views/<id>/remove/, with the checks of the admin site."""

    def save(request: HttpRequest) -> HttpResponse:
        """Save the view that the form holds, and show the list in it again."""
        table, query = request.POST.get("table", ""), request.POST.get("query", "")
        page = _list_url(site, table)
        try:
            view = save_view(
                user=acting_admin(request),
                table=table,
                name=request.POST.get("name", ""),
                query=query,
            )
        except RecordInvalid as error:
            messages.error(request, error.sentences)
            return redirect(f"{page}?{query}" if query else page)
        messages.success(request, _("The view “%(name)s” is saved.") % {"name": view.name})
        return redirect(f"{page}?{view.query}")

    def remove(request: HttpRequest, key: UUID) -> HttpResponse:
        view = remove_view(user=acting_admin(request), key=key)
        if view is None:
            raise Http404
        messages.success(request, _("The view “%(name)s” is removed.") % {"name": view.name})
        return redirect(_list_url(site, view.table))

    guard = site.admin_view
    return [
        path("views/save/", guard(require_POST(save)), name="view_save"),
        path("views/<uuid:key>/remove/", guard(require_POST(remove)), name="view_remove"),
    ]


def _list_url(site: AdminSite, name: str) -> str:
    """The address of a list by its table, `accounts.user`. Raises Http404."""
    tables: dict[str, Any] = {model._meta.label_lower: model._meta for model in site._registry}
    if name not in tables:
        raise Http404
    return reverse(f"admin:{tables[name].app_label}_{tables[name].model_name}_changelist")
