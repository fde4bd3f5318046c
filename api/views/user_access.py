"""/api/v1/users/{id}/api-keys, …/sessions and …/second-factors: what a user signs in with."""

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.roles import Role
from accounts.services import sessions
from accounts.services.ranks import require_rank
from accounts.services.second_factors import reset_factors
from api.apikeys import services
from api.pagination import single_page
from api.permissions import HasRole, HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import SessionRecord, Shape, page_of, record
from api.tokens import refresh_tokens
from api.validation import refuse_fields
from api.views.apikeys import KeyRecord, key_record
from api.views.me import session_records
from api.views.users import find_user
from core.errors import NotFound
from mfa.models import Authenticator

ADMIN = (HasScope(Scope.USERS), HasRole(Role.ADMIN))


class SecondFactorRecord(Shape):
    """A second factor of a user."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(Authenticator.Kind.choices)
    name = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class UserKeysView(APIView):
    """API keys of a user."""

    required_permissions = {"GET": ADMIN}

    @extend_schema(
        operation_id="list_user_api_keys",
        summary="List a user's API keys",
        responses=page_of(KeyRecord),
    )
    def get(self, request: Request, user_id: uuid.UUID) -> Response:
        """All live keys of the user, newest first, then the last 100 that have ended."""
        return single_page(request, map(key_record, services.own_keys(find_user(user_id))))


class UserKeyView(APIView):
    """An API key of a user."""

    required_permissions = {"DELETE": ADMIN}

    @extend_schema(
        operation_id="revoke_user_api_key",
        summary="Revoke a user's API key",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, user_id: uuid.UUID, key_id: str) -> Response:
        """Revoke a key of a user whom you may manage, or your own."""
        user = find_user(user_id)
        refuse_fields(request)
        services.revoke_key(actor=auth_of(request).user, key=services.own_key(user, key_id))
        return Response(status=204)


class UserSessionsView(APIView):
    """The sign-ins of a user."""

    required_permissions = {"GET": ADMIN, "DELETE": ADMIN}

    @extend_schema(
        operation_id="list_user_sessions",
        summary="List a user's sign-ins",
        responses=page_of(SessionRecord),
    )
    def get(self, request: Request, user_id: uuid.UUID) -> Response:
        """Signed-in browsers and programs of the user, last seen first, at most 200 of each."""
        return single_page(request, session_records(find_user(user_id), auth_of(request)))

    @extend_schema(
        operation_id="end_user_sessions",
        summary="Sign a user out everywhere",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, user_id: uuid.UUID) -> Response:
        """End all browser sessions and tokens of the user, and their sign-in links.

        API keys stay: revoke them one by one, or offboard the user.
        """
        user = find_user(user_id)
        refuse_fields(request)
        sessions.end_sessions(actor=auth_of(request).user, user=user)
        return Response(status=204)


class UserSessionView(APIView):
    """A sign-in of a user."""

    required_permissions = {"DELETE": ADMIN}

    @extend_schema(
        operation_id="end_user_session",
        summary="End one of a user's sign-ins",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, user_id: uuid.UUID, session_id: uuid.UUID) -> Response:
        """Sign out one browser or program of a user whom you may manage, or your own."""
        user, actor = find_user(user_id), auth_of(request).user
        refuse_fields(request)
        session = user.sessions.filter(public_id=session_id).select_related("user").first()
        if session is not None:
            sessions.end_session(actor=actor, session=session)
        else:
            refresh_tokens.end_family(actor=actor, user=user, family_id=session_id)
        return Response(status=204)


class UserSecondFactorsView(APIView):
    """Second factors of a user."""

    required_permissions = {"GET": ADMIN, "DELETE": (*ADMIN, RecentlyAuthenticated())}

    @extend_schema(
        operation_id="list_user_second_factors",
        summary="List a user's second factors",
        responses=page_of(SecondFactorRecord),
    )
    def get(self, request: Request, user_id: uuid.UUID) -> Response:
        """Authenticator apps and passkeys of the user, without their secrets."""
        rows = find_user(user_id).authenticators.order_by("pk")
        return single_page(request, (record(SecondFactorRecord, row) for row in rows))

    @extend_schema(
        operation_id="reset_user_second_factors",
        summary="Reset a user's second factors",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, user_id: uuid.UUID) -> Response:
        """Remove all second factors and recovery codes of a user whom you may manage.

        For a user who has lost them: make sure that they themselves ask. Ends their sign-ins and
        notifies them by mail. A user without a second factor is not found.
        """
        user, actor = find_user(user_id), auth_of(request).user
        require_rank(actor, user)
        refuse_fields(request)
        _require_factor(user)
        reset_factors(actor=actor, user=user)
        return Response(status=204)


def _require_factor(user: User) -> None:
    if not user.authenticators.exists():
        raise NotFound
