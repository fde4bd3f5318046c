"""/api/v1/api-keys: the caller's own keys."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.apikeys import services
from api.models import ApiKey
from api.pagination import single_page
from api.permissions import HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import ExactMoment, StrictSerializer, page_of, record
from api.validation import refuse_fields, validate

STATES = ("live", "revoked", "expired", "ended")


class KeyRecord(serializers.Serializer[Any]):
    """An API key, without the key itself."""

    id = serializers.CharField(help_text="The public part of the key.")
    name = serializers.CharField()
    shown = serializers.CharField(help_text="The key as lists show it: its beginning and end.")
    scopes = serializers.ListField(child=serializers.ChoiceField(list(Scope)))
    networks = serializers.ListField(child=serializers.CharField())
    state = serializers.ChoiceField(
        STATES, help_text="`ended`: its owner's password or address has changed since."
    )
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    rotated_at = serializers.DateTimeField(
        allow_null=True, help_text="When another key replaced it."
    )
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="To the minute.")
    last_used_ip = serializers.CharField(allow_blank=True)


class IssuedKeyRecord(KeyRecord):
    """A new key."""

    key = serializers.CharField(help_text="The only copy. Keep it like a password.")


class NewKey(StrictSerializer):
    """The properties of a new key."""

    name = serializers.CharField(max_length=200)
    scopes = serializers.ListField(
        child=serializers.CharField(max_length=20),
        default=lambda: [Scope.READ.value],
        max_length=20,
        help_text="Any of read, write, users, moderation, service that the role allows.",
    )
    expires_at = ExactMoment(
        required=False,
        allow_null=True,
        help_text="By default API_KEY_DEFAULT_AGE from now; null only if API_KEY_MAX_AGE is 0.",
    )
    networks = serializers.ListField(
        child=serializers.CharField(max_length=services.NETWORK_MAX_LENGTH),
        default=list,
        max_length=services.NETWORKS_MAX,
        help_text="CIDR notation; empty allows every address.",
    )


class Rotation(StrictSerializer):
    """How long the old key keeps working."""

    overlap = serializers.IntegerField(
        default=int(services.OVERLAP.total_seconds()),
        min_value=0,
        max_value=int(services.OVERLAP_MAX.total_seconds()),
        help_text="Seconds.",
    )


class KeysView(APIView):
    """Own keys."""

    required_permissions = {
        "GET": (HasScope(Scope.READ),),
        "POST": (HasScope(Scope.USERS), RecentlyAuthenticated()),
    }

    @extend_schema(
        operation_id="list_api_keys", summary="List own keys", responses=page_of(KeyRecord)
    )
    def get(self, request: Request) -> Response:
        """All live keys, newest first, then the last 100 that have ended."""
        return single_page(request, map(key_record, services.own_keys(auth_of(request).user)))

    @extend_schema(
        operation_id="create_api_key",
        summary="Create a key",
        request=NewKey,
        responses={201: IssuedKeyRecord},
    )
    def post(self, request: Request) -> Response:
        """Create a key of the caller. Only this response contains `key`. Its owner gets a mail.

        An API key can create keys only with the scope `users`, with no more rights and no longer
        lifetime than its own. A user can have 100 live keys.
        """
        user = auth_of(request).user
        given = validate(
            NewKey,
            request.data,
            extra_check=lambda readable: services.check_key_request(
                key_request_of(readable), user, auth_of(request)
            ),
        )
        key_request = key_request_of(given)
        issued = services.create_key(
            actor=user, user=user, key_request=key_request, via=auth_of(request)
        )
        return issued_response(issued)


def key_request_of(given: dict[str, Any]) -> services.KeyRequest:
    """Build the key request; missing fields get empty values."""
    return services.KeyRequest(
        name=given.get("name", ""),
        scopes=given.get("scopes", []),
        expires_at=given.get("expires_at"),
        is_endless="expires_at" in given and given["expires_at"] is None,
        networks=given.get("networks", []),
    )


class KeyView(APIView):
    """One own key."""

    required_permissions = {"GET": (HasScope(Scope.READ),), "DELETE": (HasScope(Scope.USERS),)}

    @extend_schema(operation_id="get_api_key", summary="Read a key", responses=KeyRecord)
    def get(self, request: Request, key_id: str) -> Response:
        """Return one key, without the key itself."""
        return Response(key_record(services.own_key(auth_of(request).user, key_id)))

    @extend_schema(
        operation_id="revoke_api_key", summary="Revoke a key", request=None, responses={204: None}
    )
    def delete(self, request: Request, key_id: str) -> Response:
        """Revoke a key. One that is revoked already is not found."""
        user = auth_of(request).user
        key = services.own_key(user, key_id)
        refuse_fields(request)
        services.revoke_key(actor=user, key=key)
        return Response(status=204)


class KeyRotationView(APIView):
    """Rotation of a key."""

    required_permissions = {"POST": (HasScope(Scope.USERS), RecentlyAuthenticated())}

    @extend_schema(
        operation_id="rotate_api_key",
        summary="Rotate a key",
        request=Rotation,
        responses={201: IssuedKeyRecord},
    )
    def post(self, request: Request, key_id: str) -> Response:
        """Replace a key by a new one with the same name, scopes, networks and lifetime.

        The old key keeps working for `overlap` seconds. Only this response contains `key`.
        """
        overlap = timedelta(seconds=validate(Rotation, request.data)["overlap"])
        user = auth_of(request).user
        key = services.own_key(user, key_id)
        return issued_response(
            services.rotate_key(actor=user, key=key, overlap=overlap, via=auth_of(request))
        )


def issued_response(issued: services.IssuedKey) -> Response:
    """201 with the new key, which no other response contains."""
    return Response(key_record(issued.key, IssuedKeyRecord, key=issued.text), status=201)


def key_record(key: ApiKey, kind: type[KeyRecord] = KeyRecord, /, **more: str) -> dict[str, Any]:
    state = services.state_of(key, timezone.now())
    return record(kind, key, shown=str(key), state=state, **more)
