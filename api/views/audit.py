"""/api/v1/audit-events: the audit log, for administrators."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.roles import Role
from api.pagination import PageQuery, paginate
from api.permissions import HasRole, HasScope, Scope
from api.serializers import AuditRecord, page_of
from api.validation import validate_query
from audit.models import AuditEvent

COLUMNS = {
    "action": "action",
    "result": "result",
    "actor": "actor_id",
    "target": "target_id",
    "after": "at__gte",
    "before": "at__lt",
}


class AuditQuery(PageQuery):
    """Filters of the audit log."""

    action = serializers.CharField(required=False, max_length=64, help_text="The complete name.")
    result = serializers.CharField(
        required=False, max_length=8, help_text="`success` or `refused`."
    )
    actor = serializers.UUIDField(required=False, help_text="Id of the user who acted.")
    target = serializers.UUIDField(required=False, help_text="Id of the affected user.")
    after = serializers.DateTimeField(required=False, help_text="At or after this time.")
    before = serializers.DateTimeField(required=False, help_text="Before this time.")


class AuditEventsView(APIView):
    """The audit log."""

    required_permissions = {"GET": (HasScope(Scope.USERS), HasRole(Role.ADMIN))}

    @extend_schema(
        operation_id="list_audit_events",
        summary="Read the audit log",
        parameters=[AuditQuery],
        responses=page_of(AuditRecord),
    )
    def get(self, request: Request) -> Response:
        """All events, newest first. Users are identified by id only."""
        return paginate(request, _found(validate_query(AuditQuery, request)), _record)


def _found(asked: dict[str, Any]) -> QuerySet[AuditEvent]:
    return AuditEvent.objects.filter(
        **{column: asked[name] for name, column in COLUMNS.items() if name in asked}
    )


def _record(event: AuditEvent) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "at": event.at,
        "action": event.action,
        "result": event.result,
        "actor_id": event.actor_id,
        "target_id": event.target_id,
        "channel": event.channel,
        "ip": event.ip,
        "request_id": event.request_id,
        "detail": event.detail,
    }
