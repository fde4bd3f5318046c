"""/api/v1/invitations: links to create an account, for administrators."""

import uuid
from datetime import timedelta
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import ROLE_LABELS, Invitation
from accounts.roles import Role
from accounts.services import invitations
from api.pagination import paginate
from api.permissions import HasRole, HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import (
    InvitationRecord,
    IssuedInvitationRecord,
    StrictSerializer,
    page_of,
    record,
)
from api.validation import refuse_fields, validate
from core.errors import NotFound

ADMIN = (HasScope(Scope.USERS), HasRole(Role.ADMIN))
SENSITIVE = (*ADMIN, RecentlyAuthenticated())


class NewInvitation(StrictSerializer):
    """The invited address and its role."""

    email = serializers.CharField(max_length=254)
    role = serializers.ChoiceField(
        ROLE_LABELS,
        default=Role.VIEWER.value,
        help_text="Below your own; owners may give any role.",
    )
    name = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=150,
        help_text="Initial value of the name in the form.",
    )
    role_until = serializers.DateTimeField(
        default=None, allow_null=True, help_text="The role ends then, and `role_after` follows."
    )
    role_after = serializers.ChoiceField(
        ROLE_LABELS, default="", allow_blank=True, help_text="A lower role; with `role_until`."
    )
    lifetime = serializers.IntegerField(
        required=False,
        min_value=int(invitations.MIN_LIFETIME.total_seconds()),
        max_value=int(invitations.MAX_LIFETIME.total_seconds()),
        help_text="Seconds; 7 days by default.",
    )


class InvitationsView(APIView):
    """Open invitations."""

    required_permissions = {"GET": ADMIN, "POST": SENSITIVE}

    @extend_schema(
        operation_id="list_invitations",
        summary="List open invitations",
        responses=page_of(InvitationRecord),
    )
    def get(self, request: Request) -> Response:
        """Open invitations of roles that the caller may manage, newest first."""
        return paginate(
            request, invitations.open_invitations(auth_of(request).user), InvitationRecord
        )

    @extend_schema(
        operation_id="create_invitation",
        summary="Invite a user",
        request=NewInvitation,
        responses={201: IssuedInvitationRecord},
    )
    def post(self, request: Request) -> Response:
        """Invite an address; ends an older open invitation of it. Works with registration closed.

        Only this response contains `link`. It is also sent by mail if mail is configured.
        """
        given = validate(NewInvitation, request.data, extra_check=_check)
        seconds = given.get("lifetime")
        issued = invitations.invite(
            actor=auth_of(request).user,
            email=given["email"],
            role=given["role"],
            name=given["name"],
            role_until=given["role_until"],
            role_after=given["role_after"],
            lifetime=None if seconds is None else timedelta(seconds=seconds),
        )
        created = record(
            IssuedInvitationRecord, issued.invitation, link=issued.url, mailed=issued.mailed
        )
        return Response(created, status=201)


def _check(given: dict[str, Any]) -> None:
    invitations.check_address(given.get("email", ""))


class InvitationView(APIView):
    """One open invitation."""

    required_permissions = {"DELETE": ADMIN}

    @extend_schema(
        operation_id="withdraw_invitation",
        summary="Withdraw an invitation",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, invitation_id: uuid.UUID) -> Response:
        """Withdraw an open invitation; its link stops working."""
        actor = auth_of(request).user
        found: Invitation | None = (
            invitations.open_invitations(actor).filter(pk=invitation_id).first()
        )
        if found is None:
            raise NotFound
        refuse_fields(request)
        invitations.withdraw(actor=actor, invitation=found)
        return Response(status=204)
