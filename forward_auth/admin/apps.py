"""Forward auth on the pages of apps: the wizard, the set-up, the rules of an app."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from accounts.admin.columns import badge
from accounts.admin.users.sections import Content, Row, newest
from applications.admin.sections import add_pages, add_remainder, add_section
from applications.models import App
from forward_auth.admin.app_setup import file_view, setup_view
from forward_auth.admin.app_wizard import protect_view
from forward_auth.admin.labels import audience_badge, conditions_cell, rule_link
from forward_auth.models import AccessRule
from forward_auth.services.rules import rule_of

View = Callable[..., HttpResponse]
TEMPLATE = "admin/applications/app/_rules.html"


def pages(table: "ModelAdmin[Any]") -> list[URLPattern]:
    """The wizard, and the pages that set one app up."""
    guard = table.admin_site.admin_view

    def common(request: HttpRequest) -> dict[str, Any]:
        return table.admin_site.each_context(request) | {"opts": table.opts}

    def protect(request: HttpRequest) -> HttpResponse:
        if not table.has_add_permission(request):
            raise PermissionDenied
        return protect_view(request, common(request))

    def setup(request: HttpRequest, key: UUID) -> HttpResponse:
        return setup_view(request, _find(key), common(request))

    def download(request: HttpRequest, key: UUID, name: str) -> HttpResponse:
        return file_view(request, _find(key), name)

    both = require_http_methods(["GET", "HEAD", "POST"])
    return [
        path("protect/", guard(both(protect)), name="applications_app_protect"),
        path("<uuid:key>/set-up/", guard(both(setup)), name="applications_app_setup"),
        path(
            "<uuid:key>/set-up/<str:name>",
            guard(require_safe(download)),
            name="applications_app_file",
        ),
    ]


def _find(key: UUID) -> App:
    found = App.objects.filter(pk=key).first()
    if found is None:
        raise Http404
    return found


def rules(_request: HttpRequest, app: App) -> Content:
    """The rules of the app, in the order in which they are asked."""
    every = f"{reverse('admin:forward_auth_accessrule_changelist')}?{urlencode({'app': app.slug})}"
    return Content(
        (_("Rule"), _("Allows"), _("Applies to"), _("State")),
        [_row(row) for row in newest(AccessRule.objects.filter(app=app))],
        more=every,
        empty=_("No rule belongs to this app. Where no rule matches, viewers read and editors "
                "write."),
        template=TEMPLATE,
        context={"app": app},
    )  # fmt: skip


def _row(row: AccessRule) -> Row:
    rule = rule_of(row)
    state = badge("good", _("In use")) if row.is_enabled else badge("plain", _("Not in use"))
    return Row(
        (
            rule_link(row.pk, row.name),
            audience_badge(rule.effect, rule.role, rule.groups),
            conditions_cell(rule),
            state,
        )
    )


def remainder(app: App) -> Iterator[str]:
    """What stays when the app is deleted."""
    names = list(AccessRule.objects.filter(app=app).values_list("name", flat=True))
    if names:
        text = ngettext(
            "This rule stays and applies as before: %(names)s.",
            "These rules stay and apply as before: %(names)s.",
            len(names),
        )
        yield text % {"names": ", ".join(names)}


add_pages(pages)
add_section("rules", _("Who may enter"), rules)
add_remainder(remainder)
