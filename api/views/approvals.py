"""/api/v1/approvals: acts on owners that wait for a second owner, for owners."""

import uuid
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import ApprovalRequest, User
from accounts.roles import Role
from accounts.services.approvals import requests
from accounts.services.approvals.asking import State, deciders, may_decide, url_of
from api.pagination import PageQuery, filters_of, paginate
from api.permissions import HasRole, HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import Shape, page_of, record
from api.validation import refuse_fields

OWNER = (HasScope(Scope.USERS), HasRole(Role.OWNER))


class ApprovalChangeRecord(Shape):
    """One change of the act."""

    name = serializers.CharField(help_text="Of what, for people.")
    now = serializers.CharField(allow_blank=True, help_text="For people; empty if there is none.")
    then = serializers.CharField(help_text="For people.")


class ApprovalRecord(Shape):
    """An act on an owner that waits, or waited, for a second owner."""

    id = serializers.UUIDField()
    kind = serializers.CharField(help_text="Such as `role` or `delete`; stable.")
    state = serializers.ChoiceField(State.choices)
    sentence = serializers.CharField(help_text="What it does, in the language of the request.")
    consequence = serializers.CharField(help_text="What follows, in the language of the request.")
    changes = ApprovalChangeRecord(many=True)
    raises_power = serializers.BooleanField(
        help_text="The person gets more power, so they are not the one who confirms."
    )
    target_id = serializers.UUIDField(
        allow_null=True, help_text="Null for an account that does not exist yet or any more."
    )
    target_email = serializers.CharField(allow_null=True)
    asked_by = serializers.UUIDField(allow_null=True)
    asked_by_email = serializers.CharField(allow_null=True)
    asked_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    decided_by = serializers.UUIDField(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField(
        allow_blank=True, help_text="Why it was not carried out, for people."
    )
    may_decide = serializers.BooleanField(help_text="You may confirm or decline it now.")
    deciders = serializers.ListField(
        child=serializers.CharField(), help_text="Addresses of the owners who may confirm it now."
    )
    url = serializers.URLField(help_text="Its page in the admin panel.")


class ConfirmedRecord(ApprovalRecord):
    """A request that was carried out."""

    link = serializers.URLField(
        allow_null=True,
        help_text="For a sign-in link, a reset or an invitation: the link to hand over. It is "
        "shown once.",
    )
    link_expires_at = serializers.DateTimeField(allow_null=True)


class ApprovalQuery(PageQuery):
    """Filters of the list of requests."""

    state = serializers.ChoiceField(State.choices, required=False)


class ApprovalsView(APIView):
    """Requests for a second owner."""

    required_permissions = {"GET": OWNER}

    @extend_schema(
        operation_id="list_approvals",
        summary="List requests for a second owner",
        parameters=[ApprovalQuery],
        responses=page_of(ApprovalRecord),
    )
    def get(self, request: Request) -> Response:
        """All requests, newest first."""
        actor = auth_of(request).user
        found = _in_state(**filters_of(ApprovalQuery, request))
        return paginate(request, found, lambda row: _record(row, actor))


class ApprovalView(APIView):
    """A request for a second owner."""

    required_permissions = {"GET": OWNER}

    @extend_schema(
        operation_id="get_approval",
        summary="Read a request for a second owner",
        responses=ApprovalRecord,
    )
    def get(self, request: Request, approval_id: uuid.UUID) -> Response:
        """One request, with what would change as things are now."""
        return Response(_record(requests.find_request(approval_id), auth_of(request).user))


class ApprovalConfirmView(APIView):
    """Confirming a request."""

    required_permissions = {"POST": (*OWNER, RecentlyAuthenticated())}

    @extend_schema(
        operation_id="confirm_approval",
        summary="Confirm as second owner",
        request=None,
        responses={200: ConfirmedRecord},
    )
    def post(self, request: Request, approval_id: uuid.UUID) -> Response:
        """Carry the act out, on behalf of the owner who asked.

        Refused with `forbidden` for that owner, and for a person who would get more power; with
        `request_closed` if it was decided, has expired, or cannot be carried out any more.
        """
        actor = auth_of(request).user
        refuse_fields(request)
        result: Any = requests.confirm(actor=actor, request_id=approval_id).result
        content = _record(requests.find_request(approval_id), actor)
        link = getattr(result, "url", None)
        content["link"] = link
        content["link_expires_at"] = None if link is None else result.expires_at
        return Response(content)


class ApprovalDeclineView(APIView):
    """Declining a request."""

    required_permissions = {"POST": OWNER}

    @extend_schema(
        operation_id="decline_approval",
        summary="Decline as second owner",
        request=None,
        responses={200: ApprovalRecord},
    )
    def post(self, request: Request, approval_id: uuid.UUID) -> Response:
        """Close the request. Nothing changes, and it cannot be confirmed any more."""
        actor = auth_of(request).user
        refuse_fields(request)
        requests.decline(actor=actor, request_id=approval_id)
        return Response(_record(requests.find_request(approval_id), actor))


class ApprovalWithdrawView(APIView):
    """Withdrawing one's own request."""

    required_permissions = {"POST": OWNER}

    @extend_schema(
        operation_id="withdraw_approval",
        summary="Withdraw your own request",
        request=None,
        responses={200: ApprovalRecord},
    )
    def post(self, request: Request, approval_id: uuid.UUID) -> Response:
        """Close the request that you asked for. Nothing changes."""
        actor = auth_of(request).user
        refuse_fields(request)
        requests.withdraw(actor=actor, request_id=approval_id)
        return Response(_record(requests.find_request(approval_id), actor))


def _in_state(state: str = "") -> "QuerySet[ApprovalRequest]":
    found, now = requests.all_requests(), timezone.now()
    if state == State.OPEN:
        return found.filter(state=state, expires_at__gt=now)
    if state == State.EXPIRED:
        return found.filter(Q(state=state) | Q(state=State.OPEN, expires_at__lte=now))
    return found.filter(state=state) if state else found


def _record(row: ApprovalRequest, reader: User) -> dict[str, Any]:
    shown, state = requests.shown(row), row.state_now(timezone.now())
    is_open = state == State.OPEN
    return record(
        ApprovalRecord,
        row,
        state=str(state),
        sentence=shown.does,
        consequence=shown.consequence,
        changes=[{"name": line.label, "now": line.now, "then": line.then} for line in shown.lines],
        target_email=None if row.target is None else row.target.email,
        asked_by=row.asked_by_id,
        asked_by_email=None if row.asked_by is None else row.asked_by.email,
        decided_by=row.decided_by_id,
        may_decide=is_open and may_decide(row, reader),
        deciders=[each.email for each in deciders(row)] if is_open else [],
        url=url_of(row),
    )
