"""The delivery log: what was sent where, and the answers."""

import json
from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy, ngettext_lazy

from accounts.admin.base import RowPage, acting_admin, as_uuid
from accounts.admin.bulk_actions import RowActionsAdmin, run_on_rows
from accounts.admin.columns import moment, moment_column, with_detail
from accounts.admin.navigation import MenuGroup
from accounts.admin.site import site
from accounts.admin.users.filters import ChoiceFilter, ColumnFilter, Option, SinceFilter
from webhooks.admin.labels import answer_cell, endpoint_link, status_badge, type_text
from webhooks.events import TEST, TYPES
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.services.sending import resend

Status = WebhookDelivery.Status


class DeliveryStatusFilter(ColumnFilter):
    title = gettext_lazy("status")
    parameter_name = "status"
    values = list(Status.choices)


class WebhookFilter(ChoiceFilter):
    title = gettext_lazy("webhook")
    parameter_name = "webhook"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        rows = WebhookEndpoint.objects.order_by("name", "pk")
        return [(str(row.pk), row.name, Q(endpoint_id=row.pk)) for row in rows]


class EventTypeFilter(ColumnFilter):
    title = gettext_lazy("event")
    parameter_name = "event_type"
    values = [(name, name) for name in (*TYPES, TEST)]


class DeliveryCreatedFilter(SinceFilter):
    title = gettext_lazy("created")
    parameter_name = "created"
    field = "created_at"


@admin.register(WebhookDelivery, site=site)
class WebhookDeliveryAdmin(RowPage, RowActionsAdmin):
    """The deliveries of 30 days, newest first."""

    title = gettext_lazy("Webhook deliveries")
    menu_group = MenuGroup.MESSAGES
    menu_position = 30
    help_page = "webhooks"
    list_display = ("event", "webhook", "state", "answered", "tries", "next_try", "made")
    list_display_links = ("event",)
    list_filter = (DeliveryStatusFilter, WebhookFilter, EventTypeFilter, DeliveryCreatedFilter)
    sortable_by = ("made",)
    empty_text = gettext_lazy("Each event that is sent to a webhook is listed here for 30 days.")
    empty_page = ("admin:webhooks_webhookendpoint_changelist", gettext_lazy("Webhooks"))
    # Only makes Django show the search box: get_search_results() does the search.
    search_fields = ("event_id",)
    search_help_text = gettext_lazy("The id of an event or of a user")
    actions = ("send_events_again",)
    # It sends the same event to the same receiver again.
    exempt_actions = frozenset({"send_events_again"})
    change_form_template = "admin/webhooks/webhookdelivery/change_form.html"
    detail_fields: ClassVar[tuple[str, ...]] = (
        "event",
        "event_id",
        "webhook",
        "state",
        "attempts",
        "next_try",
        "created_at",
        "delivered_at",
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[WebhookDelivery]":
        found: QuerySet[WebhookDelivery] = super().get_queryset(request)
        return found.select_related("endpoint")

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[WebhookDelivery]", search_term: str
    ) -> "tuple[QuerySet[WebhookDelivery], bool]":
        text = search_term.strip()[:64]
        if not text:
            return queryset, False
        key = as_uuid(text)
        condition = Q(user_id=key) | Q(pk=key) if key else Q(event_id=text.replace("\0", ""))
        return queryset.filter(condition), False

    @admin.display(description=gettext_lazy("event"))
    def event(self, row: WebhookDelivery) -> SafeString:
        text = type_text(row.event_type)
        return with_detail(row.event_type, text)

    @admin.display(description=gettext_lazy("webhook"))
    def webhook(self, row: WebhookDelivery) -> SafeString:
        return endpoint_link(row.endpoint)

    @admin.display(description=gettext_lazy("status"))
    def state(self, row: WebhookDelivery) -> SafeString:
        return status_badge(row)

    @admin.display(description=gettext_lazy("answer"))
    def answered(self, row: WebhookDelivery) -> str:
        return answer_cell(row)

    @admin.display(description=gettext_lazy("attempts"))
    def tries(self, row: WebhookDelivery) -> str:
        return str(row.attempts)

    @admin.display(description=gettext_lazy("next attempt"))
    def next_try(self, row: WebhookDelivery) -> str:
        return moment(row.next_attempt_at if row.status == Status.QUEUED else None)

    made = moment_column("created_at", gettext_lazy("created"), ordering="pk")

    @admin.action(description=gettext_lazy("Send again"), permissions=["action"])
    def send_events_again(
        self, request: HttpRequest, queryset: "QuerySet[WebhookDelivery]"
    ) -> None:
        """Queue the events of the chosen deliveries again, except those that wait or are erased."""
        actor = acting_admin(request)
        run_on_rows(
            request,
            queryset,
            lambda row: resend(actor=actor, delivery=row),
            ngettext_lazy(
                "%(count)d event will be sent again.",
                "%(count)d events will be sent again.",
                "count",
            ),
        )

    def page_context(self, request: HttpRequest, row: WebhookDelivery) -> dict[str, Any]:
        return {
            "title": type_text(row.event_type) or row.event_type,
            "subtitle": row.event_type,
            "answer": answer_cell(row),
            "response": row.response,
            "has_answer": row.response_status is not None,
            "event_text": _pretty(row.payload),
            "may_resend": bool(row.payload) and row.status in (Status.DELIVERED, Status.FAILED),
        }


def _pretty(payload: str) -> str:
    """The event on several lines; "" if it was erased."""
    return json.dumps(json.loads(payload), indent=2, ensure_ascii=False) if payload else ""
