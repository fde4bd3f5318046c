"""/api/v1/users/{id}/api-keys, …/sessions and …/second-factors: what a user signs in with."""

import uuid

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.roles import ADMIN_ROLES, Role
from accounts.services import sessions
from accounts.services.ranks import require_rank
from accounts.services.second_factors import reset_factors
from accounts.services.service_accounts import answered_for_by, may_manage_keys
from api.apikeys import services
from api.pagination import single_page
from api.permissions import HasRole, HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import SessionRecord, Shape, page_of, record
from api.tokens import refresh_tokens
from api.validation import refuse_fields, validate
from api.views.apikeys import (
    IssuedKeyRecord,
    KeyRecord,
    NewKey,
    issued_response,
    key_record,
    key_request_of,
)
from api.views.me import session_records
from api.views.users import find_user
from core.errors import Forbidden, NotFound
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

    required_permissions = {
        "GET": (HasScope(Scope.USERS),),
        "POST": (HasScope(Scope.USERS), RecentlyAuthenticated()),
    }

    @extend_schema(
        operation_id="list_user_api_keys",
        summary="List a user's API keys",
        responses=page_of(KeyRecord),
    )
    def get(self, request: Request, user_id: uuid.UUID) -> Response:
        """All live keys of the user, newest first, then the last 100 that have ended.

        For administrators, and for those who answer for a service account.
        """
        user = _keyed_user(auth_of(request).user, user_id)
        return single_page(request, map(key_record, services.own_keys(user)))

    @extend_schema(
        operation_id="create_service_account_key",
        summary="Create a key of a service account",
        request=NewKey,
        responses={201: IssuedKeyRecord},
    )
    def post(self, request: Request, user_id: uuid.UUID) -> Response:
        """Create a key of a service account. Only this response contains `key`.

        For those who may manage the account, and for those who answer for it, if its role is not
        above their own. People create their keys themselves, with `POST api-keys`.
        """
        auth = auth_of(request)
        user = _keyed_user(auth.user, user_id)
        given = validate(
            NewKey,
            request.data,
            extra_check=lambda readable: services.check_key_request(
                key_request_of(readable), user, auth
            ),
        )
        if not user.is_service or not may_manage_keys(auth.user, user):
            raise Forbidden(_("You may only create keys of service accounts that you answer for."))
        issued = services.create_key(
            actor=auth.user, user=user, key_request=key_request_of(given), via=auth
        )
        return issued_response(issued)


class UserKeyView(APIView):
    """An API key of a user."""

    required_permissions = {"DELETE": (HasScope(Scope.USERS),)}

    @extend_schema(
        operation_id="revoke_user_api_key",
        summary="Revoke a user's API key",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, user_id: uuid.UUID, key_id: str) -> Response:
        """Revoke a key of a user whom you may manage, or of a service account you answer for."""
        user = _keyed_user(auth_of(request).user, user_id)
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
    held_methods = ("DELETE",)

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


def _keyed_user(actor: User, user_id: uuid.UUID) -> User:
    """The user whose keys `actor` may see. Raises NotFound; Forbidden for all but administrators.

    Others see only the service accounts for which they answer, and not which ids exist.
    """
    if actor.role in ADMIN_ROLES:
        return find_user(user_id)
    found: User | None = answered_for_by(actor).filter(pk=user_id).first()
    if found is None:
        raise Forbidden
    return found


def _require_factor(user: User) -> None:
    if not user.authenticators.exists():
        raise NotFound
