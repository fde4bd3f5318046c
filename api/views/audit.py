"""/api/v1/audit-events: the audit log, for administrators."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models.audit_events import sentence_of, with_emails
from accounts.roles import Role
from api.pagination import PageQuery, filters_of, paginate
from api.permissions import HasRole, HasScope, Scope
from api.serializers import AuditRecord, page_of, record
from audit.models import AuditEvent


class AuditQuery(PageQuery):
    """Filters of the audit log."""

    action = serializers.CharField(required=False, max_length=64, help_text="The complete name.")
    result = serializers.CharField(
        required=False, max_length=8, help_text="`success` or `refused`."
    )
    actor = serializers.UUIDField(
        source="actor_id", required=False, help_text="Id of the user who acted."
    )
    target = serializers.UUIDField(
        source="target_id", required=False, help_text="Id of the affected user."
    )
    ip = serializers.IPAddressField(required=False, help_text="IP address of the client.")
    channel = serializers.CharField(
        required=False, max_length=8, help_text="`web`, `command` or `worker`."
    )
    after = serializers.DateTimeField(
        source="at__gte", required=False, help_text="At or after this time."
    )
    before = serializers.DateTimeField(
        source="at__lt", required=False, help_text="Before this time."
    )


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
        """All events, newest first, each with a sentence in the language of `Accept-Language`.

        The log stores ids of users only; their addresses are those of now.
        """
        found = with_emails(AuditEvent.objects.filter(**filters_of(AuditQuery, request)))
        return paginate(request, found, _record)


def _record(event: AuditEvent) -> dict[str, Any]:
    return record(AuditRecord, event, sentence=sentence_of(event))
