"""/api/v1/webhooks/…/deliveries: what was sent, a test event, and sending again."""

import json
import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.pagination import PageQuery, filters_of, paginate
from api.permissions import auth_of
from api.serializers import Shape, page_of, record
from api.validation import refuse_fields
from core.errors import NotFound
from webhooks.api.endpoints import READ, find_endpoint
from webhooks.models import WebhookDelivery
from webhooks.services import sending

STATUSES = [
    ("queued", "Waiting for its next attempt"),
    ("sending", "Being sent"),
    ("done", "Delivered"),
    ("failed", "Given up"),
]


class DeliveryRecord(Shape):
    """One event for one webhook, with the outcome of the last attempt."""

    id = serializers.UUIDField()
    webhook_id = serializers.UUIDField(source="endpoint_id")
    event_id = serializers.CharField(help_text="The header `webhook-id`.")
    event_type = serializers.CharField()
    event = serializers.DictField(
        allow_null=True, help_text="The body. Null: erased with the account that it was about."
    )
    status = serializers.ChoiceField(STATUSES)
    attempts = serializers.IntegerField()
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    response_status = serializers.IntegerField(
        allow_null=True, help_text="HTTP status of the last answer; null if none came."
    )
    response = serializers.CharField(
        allow_blank=True, help_text="The beginning of the last answer, without secrets."
    )
    last_error = serializers.CharField(allow_blank=True, help_text="Why no answer came.")
    created_at = serializers.DateTimeField()
    delivered_at = serializers.DateTimeField(allow_null=True)


class DeliveryQuery(PageQuery):
    """Filters of the list of deliveries."""

    status = serializers.ChoiceField(STATUSES, required=False)
    event_type = serializers.CharField(required=False, max_length=40)


class DeliveriesView(APIView):
    """Deliveries of a webhook."""

    required_permissions = {"GET": READ}

    @extend_schema(
        operation_id="list_webhook_deliveries",
        summary="List deliveries of a webhook",
        parameters=[DeliveryQuery],
        responses=page_of(DeliveryRecord),
    )
    def get(self, request: Request, webhook_id: uuid.UUID) -> Response:
        """Deliveries of the last 30 days, newest first."""
        endpoint = find_endpoint(webhook_id)
        wanted = filters_of(DeliveryQuery, request)
        return paginate(request, endpoint.deliveries.filter(**wanted), _record)


class WebhookTestView(APIView):
    """A test of a webhook."""

    required_permissions = {"POST": READ}

    @extend_schema(
        operation_id="test_webhook",
        summary="Send a test event",
        request=None,
        responses={202: DeliveryRecord},
    )
    def post(self, request: Request, webhook_id: uuid.UUID) -> Response:
        """Send an event of the type `webhook.test`, whatever types the webhook gets.

        It is sent in the background; the list of deliveries shows the result.
        """
        endpoint = find_endpoint(webhook_id)
        refuse_fields(request)
        sent = sending.send_test(actor=auth_of(request).user, endpoint=endpoint)
        return Response(_record(sent), status=202)


class ResendView(APIView):
    """A delivery that is sent again."""

    required_permissions = {"POST": READ}

    @extend_schema(
        operation_id="resend_webhook_delivery",
        summary="Send a delivery again",
        request=None,
        responses={202: DeliveryRecord},
    )
    def post(self, request: Request, delivery_id: uuid.UUID) -> Response:
        """Send the event of a delivery again, as a new delivery with the same `event_id`."""
        found = WebhookDelivery.objects.select_related("endpoint").filter(pk=delivery_id).first()
        if found is None:
            raise NotFound
        refuse_fields(request)
        sent = sending.resend(actor=auth_of(request).user, delivery=found)
        return Response(_record(sent), status=202)


def _record(row: WebhookDelivery) -> dict[str, Any]:
    return record(
        DeliveryRecord,
        row,
        event=json.loads(row.payload) if row.payload else None,
        next_attempt_at=row.next_attempt_at if row.status == "queued" else None,
    )
