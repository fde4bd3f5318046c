"""/api/v1/webhooks: where events are sent. Owners change endpoints."""

import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.roles import Role
from api.pagination import single_page
from api.permissions import HasRole, HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import Shape, StrictSerializer, example, page_of, record
from api.validation import refuse_fields, validate
from core.errors import NotFound
from webhooks.events import TYPES
from webhooks.models import NAME_MAX_LENGTH, URL_MAX_LENGTH, WebhookEndpoint
from webhooks.services import endpoints

READ = (HasScope(Scope.USERS), HasRole(Role.ADMIN))
CHANGE = (HasScope(Scope.USERS), HasRole(Role.OWNER), RecentlyAuthenticated())
EVENT_TYPES = [(name, name) for name in TYPES]
DISABLED_REASONS = [
    ("by_hand", "By an owner"),
    ("gone", "The receiver answered 410"),
    ("failing", "Every delivery failed for five days"),
    ("", "It is enabled"),
]
ENABLED_TEXT = "False: it gets no events; those of the meantime are not sent later."


class WebhookRecord(Shape):
    """A webhook. Its secret is shown only when it is made."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    url = serializers.CharField()
    event_types = serializers.ListField(
        child=serializers.ChoiceField(EVENT_TYPES), help_text="Empty: every type."
    )
    is_enabled = serializers.BooleanField()
    disabled_reason = serializers.ChoiceField(DISABLED_REASONS, allow_blank=True)
    failing_since = serializers.DateTimeField(
        allow_null=True, help_text="The first failure since the last success."
    )
    last_success_at = serializers.DateTimeField(allow_null=True)
    previous_secret_until = serializers.DateTimeField(
        allow_null=True, help_text="Until then deliveries carry a signature by the old secret too."
    )
    created_at = serializers.DateTimeField()


class IssuedWebhookRecord(WebhookRecord):
    """A webhook with a new secret. Only this response contains it."""

    secret = serializers.CharField(help_text="Starts with `whsec_`.")


class WebhookFields(StrictSerializer):
    """The fields of a webhook; services validate their meaning."""

    name = serializers.CharField(max_length=NAME_MAX_LENGTH)
    url = serializers.CharField(
        max_length=URL_MAX_LENGTH,
        help_text="An https URL of a public address. Others must be in WEBHOOK_ALLOWED_NETWORKS.",
    )
    event_types = serializers.ListField(
        child=serializers.ChoiceField(EVENT_TYPES),
        default=list,
        max_length=len(EVENT_TYPES),
        help_text="Empty: every type.",
    )
    is_enabled = serializers.BooleanField(default=True, help_text=ENABLED_TEXT)


class SecretRotation(StrictSerializer):
    """How long the old secret goes on signing."""

    overlap_hours = serializers.IntegerField(
        default=24,
        min_value=0,
        max_value=168,
        help_text="Until then deliveries carry both signatures. 0 if the old secret is known to "
        "others.",
    )


class WebhooksView(APIView):
    """Webhooks."""

    required_permissions = {"GET": READ, "POST": CHANGE}

    @extend_schema(
        operation_id="list_webhooks", summary="List webhooks", responses=page_of(WebhookRecord)
    )
    def get(self, request: Request) -> Response:
        """All webhooks by name. Always one page."""
        rows = WebhookEndpoint.objects.order_by("name", "pk")
        return single_page(request, map(_record, rows))

    @extend_schema(
        operation_id="create_webhook",
        summary="Create a webhook",
        request=WebhookFields,
        examples=example(
            {
                "name": "Chat",
                "url": "https://chat.example.com/hooks/gatehouse",
                "event_types": ["user.created", "ban.created"],
            }
        ),
        responses={201: IssuedWebhookRecord},
    )
    def post(self, request: Request) -> Response:
        """Create a webhook. It gets the events from now on. Store the `secret`."""
        given = validate(WebhookFields, request.data, extra_check=endpoints.clean_values)
        issued = endpoints.create_endpoint(actor=auth_of(request).user, values=given)
        location = f"{settings.PUBLIC_URL}/api/v1/webhooks/{issued.endpoint.pk}"
        return Response(_issued(issued), status=201, headers={"Location": location})


class WebhookView(APIView):
    """A webhook."""

    required_permissions = {"GET": READ, "PATCH": CHANGE, "DELETE": CHANGE}

    @extend_schema(operation_id="get_webhook", summary="Read a webhook", responses=WebhookRecord)
    def get(self, request: Request, webhook_id: uuid.UUID) -> Response:
        """Return one webhook."""
        return Response(_record(find_endpoint(webhook_id)))

    @extend_schema(
        operation_id="change_webhook",
        summary="Change a webhook",
        request=WebhookFields,
        examples=example({"is_enabled": False}),
        responses=WebhookRecord,
    )
    def patch(self, request: Request, webhook_id: uuid.UUID) -> Response:
        """Change the given fields.

        If you disable a webhook, what waits for it is given up. The record may be sent back with
        its other fields as they are.
        """
        row = find_endpoint(webhook_id)
        given = validate(
            WebhookFields,
            request.data,
            partial=True,
            current=_record(row),
            extra_check=endpoints.clean_values,
        )
        row = endpoints.edit_endpoint(actor=auth_of(request).user, endpoint=row, changes=given)
        return Response(_record(row))

    @extend_schema(
        operation_id="delete_webhook",
        summary="Delete a webhook",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, webhook_id: uuid.UUID) -> Response:
        """Delete a webhook with its deliveries."""
        row = find_endpoint(webhook_id)
        refuse_fields(request)
        endpoints.delete_endpoint(actor=auth_of(request).user, endpoint=row)
        return Response(status=204)


class WebhookSecretView(APIView):
    """The secret of a webhook."""

    required_permissions = {"POST": CHANGE}

    @extend_schema(
        operation_id="rotate_webhook_secret",
        summary="Replace the secret of a webhook",
        request=SecretRotation,
        responses=IssuedWebhookRecord,
    )
    def post(self, request: Request, webhook_id: uuid.UUID) -> Response:
        """Make a new secret. For a time, deliveries carry a signature by the old one as well."""
        row = find_endpoint(webhook_id)
        hours = validate(SecretRotation, request.data)["overlap_hours"]
        issued = endpoints.rotate_secret(
            actor=auth_of(request).user, endpoint=row, overlap=timedelta(hours=hours)
        )
        return Response(_issued(issued))


def find_endpoint(webhook_id: uuid.UUID) -> WebhookEndpoint:
    """Return the endpoint. Raises NotFound."""
    found = WebhookEndpoint.objects.filter(pk=webhook_id).first()
    if found is None:
        raise NotFound
    return found


def _issued(issued: endpoints.IssuedEndpoint) -> dict[str, Any]:
    return {**_record(issued.endpoint), "secret": issued.secret}


def _record(row: WebhookEndpoint) -> dict[str, Any]:
    is_overlapping = row.has_previous_secret(timezone.now())
    until = row.previous_secret_until if is_overlapping else None
    return record(WebhookRecord, row, previous_secret_until=until)
