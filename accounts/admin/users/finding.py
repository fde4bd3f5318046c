"""The box "Find a person" of the menu: leads to the page of the user, or to the list of several."""

from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_safe


def urls(modeladmin: "ModelAdmin[Any]") -> list[URLPattern]:
    """find/?q=: a redirect; it searches like the list."""

    def find(request: HttpRequest) -> HttpResponse:
        text = request.GET.get("q", "").strip()
        rows = modeladmin.get_queryset(request)
        found, _may_repeat = modeladmin.get_search_results(request, rows, text)
        keys = list(found.values_list("pk", flat=True)[:2]) if text else []
        if len(keys) == 1:
            return redirect("admin:accounts_user_change", keys[0])
        url = reverse("admin:accounts_user_changelist")
        return redirect(f"{url}?{urlencode({'q': text})}" if text else url)

    guarded = modeladmin.admin_site.admin_view(require_safe(find))
    return [path("find/", guarded, name="accounts_user_find")]
