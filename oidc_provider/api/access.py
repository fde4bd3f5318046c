"""/api/v1/me/app-access and /users/{id}/app-access: the apps that a person is signed in to."""

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.roles import Role
from api.pagination import single_page
from api.permissions import HasRole, HasScope, Scope, auth_of
from api.serializers import Shape, page_of, record
from api.validation import refuse_fields
from api.views.users import find_user
from oidc_provider.services import access

ADMIN = (HasScope(Scope.USERS), HasRole(Role.ADMIN))
READ, WRITE = (HasScope(Scope.READ),), (HasScope(Scope.WRITE),)


class AppAccessRecord(Shape):
    """An app that a person is signed in to, or has allowed to know them."""

    app_id = serializers.UUIDField()
    name = serializers.CharField()
    scopes = serializers.ListField(
        source="scope", child=serializers.CharField(), help_text="What the app may know."
    )
    sign_ins = serializers.IntegerField(help_text="How many are live.")
    is_allowed = serializers.BooleanField(
        help_text="The person has allowed it, and is not asked again."
    )
    is_offline = serializers.BooleanField(
        help_text="A sign-in goes on after the person signs out here."
    )
    since = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(
        source="last_used", allow_null=True, help_text="When it got a token last."
    )


class OwnAccessView(APIView):
    """The apps that the caller is signed in to."""

    required_permissions = {"GET": READ, "DELETE": WRITE}

    @extend_schema(
        operation_id="list_own_app_access",
        summary="List the apps that you are signed in to",
        responses=page_of(AppAccessRecord),
    )
    def get(self, request: Request) -> Response:
        """Apps with a live sign-in by OpenID Connect, or your consent; used last comes first."""
        return _listed(request, auth_of(request).user)

    @extend_schema(
        operation_id="end_own_app_access",
        summary="Sign out of all apps",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request) -> Response:
        """End every sign-in to an app, and forget what you have allowed. Apps are told."""
        refuse_fields(request)
        user = auth_of(request).user
        access.end_all_app_access(actor=user, user=user)
        return Response(status=204)


class OwnAppAccessView(APIView):
    """The access of one app to the caller."""

    required_permissions = {"DELETE": WRITE}

    @extend_schema(
        operation_id="end_own_access_of_app",
        summary="Sign out of an app",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, app_id: uuid.UUID) -> Response:
        """End your sign-ins to the app, and forget what you have allowed it. The app is told."""
        refuse_fields(request)
        user = auth_of(request).user
        access.end_app_access(actor=user, user=user, app_id=app_id)
        return Response(status=204)


class UserAccessView(APIView):
    """The apps that a user is signed in to."""

    required_permissions = {"GET": ADMIN, "DELETE": ADMIN}

    @extend_schema(
        operation_id="list_user_app_access",
        summary="List the apps that a user is signed in to",
        responses=page_of(AppAccessRecord),
    )
    def get(self, request: Request, user_id: uuid.UUID) -> Response:
        """Apps with a live sign-in by OpenID Connect, or consent; used last comes first."""
        return _listed(request, find_user(user_id))

    @extend_schema(
        operation_id="end_user_app_access",
        summary="Sign a user out of all apps",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, user_id: uuid.UUID) -> Response:
        """End every sign-in of the user to an app. Sessions here go on. Apps are told."""
        refuse_fields(request)
        access.end_all_app_access(actor=auth_of(request).user, user=find_user(user_id))
        return Response(status=204)


class UserAppAccessView(APIView):
    """The access of one app to a user."""

    required_permissions = {"DELETE": ADMIN}

    @extend_schema(
        operation_id="end_user_access_of_app",
        summary="Sign a user out of an app",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, user_id: uuid.UUID, app_id: uuid.UUID) -> Response:
        """End the user's sign-ins to the app, and what they have allowed it. The app is told."""
        user = find_user(user_id)
        refuse_fields(request)
        access.end_app_access(actor=auth_of(request).user, user=user, app_id=app_id)
        return Response(status=204)


def _listed(request: Request, user: User) -> Response:
    return single_page(request, (record(AppAccessRecord, one) for one in access.access_of(user)))
