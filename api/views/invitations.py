"""/api/v1/invitations: links to create an account, for administrators."""

import uuid
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import ROLE_LABELS, Invitation
from accounts.roles import Role
from accounts.services import invitations
from accounts.services.groups.reading import find_groups, groups_with_ids
from api.pagination import PageQuery, filters_of, paginate
from api.permissions import HasRole, HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import (
    INVITATION_STATES,
    EndsOnce,
    ExactMoment,
    InvitationRecord,
    IssuedInvitationRecord,
    NamesOfGroups,
    Seconds,
    page_of,
    record,
)
from api.validation import refuse_fields, time_until, validate
from core.errors import NotFound, RecordInvalid

ADMIN = (HasScope(Scope.USERS), HasRole(Role.ADMIN))
SENSITIVE = (*ADMIN, RecentlyAuthenticated())


class NewInvitation(EndsOnce):
    """The invited address and its role."""

    span_field = "lifetime"
    lifetime = Seconds(shortest=invitations.MIN_LIFETIME, longest=invitations.MAX_LIFETIME)

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
    groups = NamesOfGroups()
    expires_at = ExactMoment(
        required=False, help_text="In 1 minute to 30 days; in 7 days by default."
    )


class InvitationQuery(PageQuery):
    """Filters of the list of invitations."""

    state = serializers.ChoiceField(
        [*INVITATION_STATES, ("all", "All")],
        default="live",
        help_text="`live` by default: the open ones.",
    )
    email = serializers.CharField(
        required=False, max_length=254, help_text="The complete address; case does not matter."
    )
    role = serializers.ChoiceField(ROLE_LABELS, required=False)


class InvitationsView(APIView):
    """Invitations."""

    required_permissions = {"GET": ADMIN, "POST": SENSITIVE}
    held_methods = ("POST",)

    @extend_schema(
        operation_id="list_invitations",
        summary="List invitations",
        parameters=[InvitationQuery],
        responses=page_of(InvitationRecord),
    )
    def get(self, request: Request) -> Response:
        """Invitations to roles that you may give, newest first; by default the open ones."""
        filters = filters_of(InvitationQuery, request)
        found = invitations.invitations_in_state(auth_of(request).user, filters.pop("state"))
        if "email" in filters:
            filters["email__iexact"] = filters.pop("email")
        return paginate(request, found.filter(**filters), _record)

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
        _check(given)
        issued = invitations.invite(
            actor=auth_of(request).user,
            email=given["email"],
            role=given["role"],
            name=given["name"],
            role_until=given["role_until"],
            role_after=given["role_after"],
            group_ids=ids_of_groups(given["groups"]),
            lifetime=given.get("lifetime"),
            expires_at=given.get("expires_at"),
        )
        created = _record(
            issued.invitation, IssuedInvitationRecord, link=issued.url, mailed=issued.mailed
        )
        return Response(created, status=201)


def _check(given: dict[str, Any]) -> None:
    errors: dict[str, list[str]] = {}
    try:
        invitations.check_address(given.get("email", ""))
    except RecordInvalid as error:
        errors |= error.errors
    try:
        _check_end(given)
    except RecordInvalid as error:
        errors |= error.errors
    try:
        find_groups(given.get("groups", ()))
    except RecordInvalid as error:
        errors |= error.errors
    if errors:
        raise RecordInvalid(errors)


def ids_of_groups(texts: list[str]) -> list[str]:
    """The ids of groups, for the services. Raises RecordInvalid."""
    return [str(group.pk) for group in find_groups(texts)]


def _check_end(given: dict[str, Any]) -> None:
    if "expires_at" in given:
        time_until(
            given["expires_at"],
            shortest=invitations.MIN_LIFETIME,
            longest=invitations.MAX_LIFETIME,
        )


def _record(
    invitation: Invitation, kind: type[InvitationRecord] = InvitationRecord, /, **more: Any
) -> dict[str, Any]:
    names = [group.name for group in groups_with_ids(invitation.group_ids)]
    state = invitation.state(timezone.now())
    return record(kind, invitation, state=state, groups=names, **more)


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
