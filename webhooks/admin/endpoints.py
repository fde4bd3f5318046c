"""The table of endpoints. Administrators read and test them, owners change them."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from accounts.admin.base import RowPage, ServiceFormAdmin, acting_admin
from accounts.admin.columns import moment_column
from accounts.admin.navigation import MenuGroup
from accounts.admin.site import site
from accounts.models import User
from accounts.roles import Role
from accounts.sent_forms import show_once
from core.errors import GatehouseError
from core.web.single_values import may_repeat
from webhooks.admin.forms import EndpointForm, RotateForm
from webhooks.admin.labels import answer_cell, endpoint_badge, status_badge, type_text
from webhooks.admin.notices import notices_page
from webhooks.endpoint_url import host_of
from webhooks.models import WebhookEndpoint
from webhooks.services.endpoints import (
    IssuedEndpoint,
    create_endpoint,
    delete_endpoint,
    edit_endpoint,
    rotate_secret,
)
from webhooks.services.sending import failing_endpoints, send_test

TEMPLATES = "admin/webhooks/webhookendpoint"
RECENT = 5


@admin.register(WebhookEndpoint, site=site)
class WebhookEndpointAdmin(ServiceFormAdmin, RowPage):
    """Where events are sent; the secret of each only when it is made."""

    title = gettext_lazy("Webhooks")
    add_title = gettext_lazy("Add a webhook")
    saves_once = True
    menu_group = MenuGroup.MESSAGES
    menu_position = 20
    help_page = "webhooks"
    form = EndpointForm
    change_list_template = f"{TEMPLATES}/change_list.html"
    ordering: ClassVar[tuple[str, ...]] = ("name", "pk")
    list_display = ("name", "where", "events", "state", "succeeded")
    list_display_links = ("name",)
    actions = None
    empty_text = gettext_lazy(
        "Webhooks tell other systems what happens here: new accounts, sign-ins, bans, API keys."
    )
    empty_page = ("admin:webhooks_webhookendpoint_add", gettext_lazy("Add a webhook"))
    # A test event tells nothing of anyone, and administrators see what notices tell anyway.
    exempt_pages: ClassVar[frozenset[str]] = frozenset(
        {"webhooks_webhookendpoint_test", "webhooks_webhookendpoint_notices"}
    )
    repeatable: ClassVar[frozenset[str]] = frozenset({"event_types"})
    menu_pages = (("admin:webhooks_webhookendpoint_notices", gettext_lazy("Notices by mail")),)
    fields = ("name", "url", "event_types", "is_enabled")

    def menu_alarm(self, request: HttpRequest) -> str:
        """Shown in the menu of every page."""
        return _("failing") if failing_endpoints().exists() else ""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_owner(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _is_owner(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _is_owner(request)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Administrators who may not change it read the types as text."""
        is_read = obj is not None and not self.has_change_permission(request, obj)
        return ("name", "url", "events", "is_enabled") if is_read else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return () if self.has_change_permission(request, obj) else ("events",)

    def get_urls(self) -> list[URLPattern]:
        guard = self.admin_site.admin_view
        name = "webhooks_webhookendpoint"
        rotate = guard(require_http_methods(["GET", "HEAD", "POST"])(self.rotate_view))
        test = guard(require_POST(self.test_view))
        ask = guard(require_http_methods(["GET", "HEAD", "POST"])(self.notices_view))
        notices = may_repeat("groups")(ask)
        return [
            path("notices/", notices, name=f"{name}_notices"),
            path("<uuid:key>/rotate/", rotate, name=f"{name}_rotate"),
            path("<uuid:key>/test/", test, name=f"{name}_test"),
            *super().get_urls(),
        ]

    @admin.display(description=gettext_lazy("host"))
    def where(self, row: WebhookEndpoint) -> str:
        return host_of(row.url)

    @admin.display(description=gettext_lazy("events"))
    def events(self, row: WebhookEndpoint) -> str:
        return ", ".join(row.event_types) or _("all")

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: WebhookEndpoint) -> SafeString:
        return endpoint_badge(row)

    succeeded = moment_column("last_success_at", gettext_lazy("last success"))

    def page_context(self, request: HttpRequest, row: WebhookEndpoint) -> dict[str, Any]:
        log = reverse("admin:webhooks_webhookdelivery_changelist")
        recent = row.deliveries.order_by("-pk")[:RECENT]
        until = row.previous_secret_until if row.has_previous_secret(timezone.now()) else None
        return {
            "title": row.name,
            "subtitle": host_of(row.url),
            "badge": endpoint_badge(row),
            "overlap_until": until,
            "may_change": _is_owner(request),
            "log_url": f"{log}?webhook={row.pk}",
            "recent": [
                (each, status_badge(each), type_text(each.event_type), answer_cell(each))
                for each in recent
            ],
        }

    def save_model(
        self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool
    ) -> None:
        actor = acting_admin(request)
        if change:
            edit_endpoint(actor=actor, endpoint=obj, changes=form.cleaned_data)
            return
        issued = create_endpoint(actor=actor, values=form.cleaned_data)
        obj.pk = issued.endpoint.pk
        request.issued = issued  # type: ignore[attr-defined]  # read by response_add()

    def response_add(
        self, request: HttpRequest, obj: WebhookEndpoint, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The secret, which is shown in this response only."""
        return self._secret_page(
            request,
            request.issued,  # type: ignore[attr-defined]  # by save_model()
        )

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """The page of the deletion says what goes; deliveries are not listed one by one."""
        return [], {}, set(), []

    def delete_model(self, request: HttpRequest, obj: WebhookEndpoint) -> None:
        delete_endpoint(actor=acting_admin(request), endpoint=obj)

    def notices_view(self, request: HttpRequest) -> HttpResponse:
        return notices_page(self, request)

    def test_view(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """Send a test event, and show its delivery."""
        try:
            sent = send_test(actor=acting_admin(request), endpoint=_find(key))
        except GatehouseError as error:
            messages.error(request, error.sentences)
            return redirect("admin:webhooks_webhookendpoint_change", key)
        messages.success(request, _("The test event is being sent. Reload to see the answer."))
        return redirect("admin:webhooks_webhookdelivery_change", sent.pk)

    def rotate_view(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """Ask how long the old secret goes on signing; then show the new one, once."""
        row, actor = _find(key), acting_admin(request)
        form = RotateForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                issued = rotate_secret(actor=actor, endpoint=row, overlap=form.overlap)
            except GatehouseError as error:
                form.add_service_errors(error)
            else:
                return self._secret_page(request, issued)
        context = self.admin_site.each_context(request) | {
            "title": _("Replace the secret"),
            "subtitle": row.name,
            "opts": self.opts,
            "original": row,
            "form": form,
        }
        status = 200 if _is_owner(request) else 403
        return render(request, f"{TEMPLATES}/rotate.html", context, status=status)

    def _secret_page(self, request: HttpRequest, issued: IssuedEndpoint) -> HttpResponse:
        context = self.admin_site.each_context(request) | {
            "title": _("The secret of the webhook"),
            "subtitle": issued.endpoint.name,
            "opts": self.opts,
            "original": issued.endpoint,
            "secret": issued.secret,
        }
        page = render(request, f"{TEMPLATES}/secret.html", context)
        change = reverse("admin:webhooks_webhookendpoint_change", args=[issued.endpoint.pk])
        return show_once(page, change)


def _find(key: UUID) -> WebhookEndpoint:
    found = WebhookEndpoint.objects.filter(pk=key).first()
    if found is None:
        raise Http404
    return found


def _is_owner(request: HttpRequest) -> bool:
    user = request.user
    return isinstance(user, User) and user.role == Role.OWNER
