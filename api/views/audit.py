"""/api/v1/audit-events: the audit log, for administrators."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.models.audit_events import sentence_of, with_emails
from accounts.roles import Role
from accounts.services.undo import find_event, plan_undo, undo, undo_problem, with_undo
from accounts.undo.registry import kind_of
from api.pagination import PageQuery, filters_of, paginate
from api.permissions import HasRole, HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import AuditRecord, page_of, record
from api.validation import refuse_fields
from audit.models import AuditEvent, is_channel, is_result, near_period
from core.errors import GatehouseError, NotFound


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
        filters = filters_of(AuditQuery, request)
        found = AuditEvent.objects.all()
        if "result" in filters:
            found = found.filter(is_result(filters.pop("result")))
        if "channel" in filters:
            found = found.filter(is_channel(filters.pop("channel")))
        period = near_period(filters.get("at__gte"), filters.get("at__lt"))
        found = found.filter(period, **filters)
        return paginate(request, with_undo(with_emails(found)), _record)


class AuditEventView(APIView):
    """An event of the audit log."""

    required_permissions = {"GET": (HasScope(Scope.USERS), HasRole(Role.ADMIN))}

    @extend_schema(
        operation_id="get_audit_event", summary="Read an audit event", responses=AuditRecord
    )
    def get(self, request: Request, seq: int) -> Response:
        """One event. `undoable` takes into account what has changed since, and your role."""
        return Response(_exact_record(_find(seq), auth_of(request).user))


class AuditEventUndoView(APIView):
    """Taking back an event."""

    required_permissions = {"POST": (HasRole(Role.ADMIN), RecentlyAuthenticated())}
    held_methods = ("POST",)

    @extend_schema(
        operation_id="undo_audit_event",
        summary="Undo a change",
        request=None,
        responses={201: AuditRecord},
    )
    def post(self, request: Request, seq: int) -> Response:
        """Take back a change of a user, a ban or an access rule; returns the new event.

        Needs the scope `users`, or `moderation` for bans, and the role that the change needs.
        Refused with `cannot_undo` if it was changed or undone since, or is too old.
        """
        event, auth = _find(seq), auth_of(request)
        refuse_fields(request)
        kind = kind_of(event.action)
        auth.require_scope(kind.scope if kind else Scope.USERS)
        done = undo(actor=auth.user, event=event)
        return Response(_record(done), status=201)


def _find(seq: int) -> AuditEvent:
    event = find_event(seq)
    if event is None:
        raise NotFound
    return event


def _record(event: AuditEvent) -> dict[str, Any]:
    return _with_undo(event, undo_problem(event, timezone.now()))


def _exact_record(event: AuditEvent, actor: User) -> dict[str, Any]:
    problem = undo_problem(event, timezone.now())
    if problem is None:
        try:
            plan_undo(event, actor=actor)
        except GatehouseError as error:
            problem = error.sentences
    return _with_undo(event, problem)


def _with_undo(event: AuditEvent, problem: str | None) -> dict[str, Any]:
    """problem: see undo_problem()."""
    return record(
        AuditRecord,
        event,
        sentence=sentence_of(event),
        undoable=problem is None,
        undo_reason=problem or "",
    )
