"""/api/v1/openid-scopes: scopes that apps may ask for beside the standard ones."""

import uuid

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.pagination import single_page
from api.permissions import auth_of
from api.serializers import Shape, StrictSerializer, example, page_of, record
from api.validation import refuse_fields, validate
from applications.api.apps import CHANGE, READ
from applications.custom_scopes import MAX_DESCRIPTION, MAX_NAME
from applications.models import CustomScope
from applications.services import custom_scopes
from core.errors import NotFound

NAME_HELP = "What apps send, such as `books:read`. It never changes."
DESCRIPTION_HELP = "What the app may do, as people read it when they are asked."
AUDIENCE_HELP = (
    "The id of the app whose backend may ask about tokens with this scope. Null: only the app that "
    "was given them."
)
PUBLIC_HELP = "The discovery document names it."


class ScopeRecord(Shape):
    """A scope of your own."""

    id = serializers.UUIDField()
    name = serializers.CharField(help_text=NAME_HELP)
    description = serializers.CharField(help_text=DESCRIPTION_HELP)
    audience_id = serializers.UUIDField(allow_null=True, help_text=AUDIENCE_HELP)
    is_public = serializers.BooleanField(help_text=PUBLIC_HELP)
    created_at = serializers.DateTimeField()


class ScopeFields(StrictSerializer):
    """The fields of a scope; services validate their meaning."""

    name = serializers.CharField(max_length=MAX_NAME, help_text=NAME_HELP)
    description = serializers.CharField(max_length=MAX_DESCRIPTION, help_text=DESCRIPTION_HELP)
    audience_id = serializers.UUIDField(default=None, allow_null=True, help_text=AUDIENCE_HELP)
    is_public = serializers.BooleanField(default=True, help_text=PUBLIC_HELP)


class ScopesView(APIView):
    """Scopes."""

    required_permissions = {"GET": READ, "POST": CHANGE}

    @extend_schema(
        operation_id="list_scopes",
        summary="List scopes of your own",
        responses=page_of(ScopeRecord),
    )
    def get(self, request: Request) -> Response:
        """The scopes that you have made, by name. Always one page."""
        return single_page(request, (record(ScopeRecord, row) for row in CustomScope.objects.all()))

    @extend_schema(
        operation_id="create_scope",
        summary="Add a scope",
        request=ScopeFields,
        examples=example({"name": "books:read", "description": "read your books"}),
        responses={201: ScopeRecord},
    )
    def post(self, request: Request) -> Response:
        """Add a scope. No app may ask for it yet: list it in `custom_scopes` of an app."""
        given = validate(ScopeFields, request.data, extra_check=custom_scopes.clean_values)
        scope = custom_scopes.create_scope(actor=auth_of(request).user, values=given)
        location = f"{settings.PUBLIC_URL}/api/v1/openid-scopes/{scope.pk}"
        return Response(record(ScopeRecord, scope), status=201, headers={"Location": location})


class ScopeView(APIView):
    """A scope."""

    required_permissions = {"GET": READ, "PATCH": CHANGE, "DELETE": CHANGE}

    @extend_schema(operation_id="get_scope", summary="Read a scope", responses=ScopeRecord)
    def get(self, request: Request, scope_id: uuid.UUID) -> Response:
        """Return one scope."""
        return Response(record(ScopeRecord, _find(scope_id)))

    @extend_schema(
        operation_id="change_scope",
        summary="Describe a scope anew",
        request=ScopeFields,
        examples=example({"description": "read and borrow your books"}),
        responses=ScopeRecord,
    )
    def patch(self, request: Request, scope_id: uuid.UUID) -> Response:
        """Change the given fields. The name stays: make another scope instead."""
        scope = _find(scope_id)
        given = validate(
            ScopeFields,
            request.data,
            partial=True,
            current=record(ScopeRecord, scope),
            extra_check=custom_scopes.clean_values,
        )
        changed = custom_scopes.edit_scope(actor=auth_of(request).user, scope=scope, changes=given)
        return Response(record(ScopeRecord, changed))

    @extend_schema(
        operation_id="delete_scope", summary="Delete a scope", request=None, responses={204: None}
    )
    def delete(self, request: Request, scope_id: uuid.UUID) -> Response:
        """Delete a scope, and take it from every app. No token has it from now on."""
        scope = _find(scope_id)
        refuse_fields(request)
        custom_scopes.delete_scope(actor=auth_of(request).user, scope=scope)
        return Response(status=204)


def _find(scope_id: uuid.UUID) -> CustomScope:
    found = CustomScope.objects.filter(pk=scope_id).first()
    if found is None:
        raise NotFound
    return found
