"""/api/v1/apps/{id}/secrets: by which the backend of an app proves to be itself. For owners."""

import uuid
from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.pagination import single_page
from api.permissions import auth_of
from api.serializers import Shape, StrictSerializer, page_of, record
from api.validation import refuse_fields, validate
from applications.api.apps import CHANGE, READ, find_app_by_id
from applications.models import AppSecret
from applications.services import secrets

HOUR = timedelta(hours=1)


class SecretRecord(Shape):
    """A secret of an app, without the secret."""

    id = serializers.UUIDField()
    ending = serializers.CharField(
        help_text="Its last characters; empty if another system made it."
    )
    state = serializers.CharField(help_text="`live`, `revoked` or `expired`.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(
        allow_null=True, help_text="Null until a newer one replaces it."
    )
    revoked_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(
        allow_null=True, help_text="Saved at most once a minute."
    )


class IssuedSecretRecord(SecretRecord):
    """A new secret."""

    client_id = serializers.CharField()
    client_secret = serializers.CharField(help_text="Shown in this response only.")


class NewSecret(StrictSerializer):
    """What becomes of the secret that the app has."""

    overlap_hours = serializers.IntegerField(
        default=secrets.OVERLAP // HOUR,
        min_value=0,
        max_value=secrets.MAX_OVERLAP // HOUR,
        help_text="For how long the old secret works beside the new one. 0: it ends now.",
    )


class SecretsView(APIView):
    """The secrets of an app."""

    required_permissions = {"GET": READ, "POST": CHANGE}

    @extend_schema(
        operation_id="list_app_secrets",
        summary="List the secrets of an app",
        responses=page_of(SecretRecord),
    )
    def get(self, request: Request, app_id: uuid.UUID) -> Response:
        """The secrets that work, then some that have ended. Always one page."""
        app = find_app_by_id(app_id)
        rows = secrets.secrets_of(app, timezone.now())
        return single_page(request, (_record(row) for row in rows))

    @extend_schema(
        operation_id="create_app_secret",
        summary="Make a secret for an app",
        request=NewSecret,
        responses={201: IssuedSecretRecord},
    )
    def post(self, request: Request, app_id: uuid.UUID) -> Response:
        """Make a secret, and end the one before after a while. At most two work at a time."""
        app = find_app_by_id(app_id)
        hours = validate(NewSecret, request.data)["overlap_hours"]
        issued = secrets.create_secret(
            actor=auth_of(request).user, app=app, overlap=timedelta(hours=hours)
        )
        content = {
            **_record(issued.secret),
            "client_id": issued.secret.app.client_id,
            "client_secret": issued.text,
        }
        return Response(content, status=201)


class SecretView(APIView):
    """A secret of an app."""

    required_permissions = {"DELETE": CHANGE}

    @extend_schema(
        operation_id="revoke_app_secret",
        summary="Revoke a secret of an app",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, app_id: uuid.UUID, secret_id: uuid.UUID) -> Response:
        """Revoke a secret. The next request with it is refused."""
        app = find_app_by_id(app_id)
        refuse_fields(request)
        secrets.revoke_secret(actor=auth_of(request).user, app=app, secret_id=secret_id)
        return Response(status=204)


def _record(row: AppSecret) -> dict[str, Any]:
    return record(SecretRecord, row, state=row.state(timezone.now()))
