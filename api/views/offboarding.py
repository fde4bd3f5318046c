"""/api/v1/users/{id}/offboard: take all access away from an account, with proof."""

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.services.offboard import offboard
from accounts.services.ranks import require_rank
from api.permissions import auth_of
from api.serializers import Shape, StrictSerializer
from api.validation import validate
from api.views.users import SENSITIVE, find_user


class OffboardRequest(StrictSerializer):
    """Why the access ends."""

    reason = serializers.CharField(
        default="", allow_blank=True, max_length=200, help_text="Stored in the audit log."
    )


class KindResultRecord(Shape):
    """What was tried of one kind of credential."""

    name = serializers.CharField(help_text="Such as `sessions` or `api_keys`; stable.")
    label = serializers.CharField(help_text="For people.")  # type: ignore[assignment]  # a field
    count = serializers.IntegerField(help_text="How many there were before.")
    probed = serializers.IntegerField(help_text="How many of them were tried afterwards.")
    accepted = serializers.IntegerField(help_text="How many of those are still accepted.")
    refused = serializers.IntegerField(help_text="How many of those are refused.")
    milliseconds = serializers.IntegerField(
        help_text="From the beginning until the last one was refused."
    )
    reasons = serializers.DictField(
        child=serializers.IntegerField(), help_text="Code of the refusal -> how many."
    )
    limits = serializers.CharField(
        allow_blank=True, help_text="What cannot be ended from here, for people."
    )


class OffboardingRecord(Shape):
    """The report of an offboarding."""

    number = serializers.IntegerField(help_text="Its event in the audit log.")
    user_id = serializers.UUIDField()
    email = serializers.CharField(allow_null=True)
    actor_id = serializers.UUIDField(allow_null=True)
    at = serializers.DateTimeField()
    was_disabled = serializers.BooleanField(help_text="The account was disabled before.")
    is_proved = serializers.BooleanField(help_text="Everything that was tried is refused.")
    milliseconds = serializers.IntegerField(
        help_text="From the beginning until everything was refused."
    )
    kinds = KindResultRecord(many=True)


class UserOffboardView(APIView):
    """The offboarding of a user."""

    required_permissions = {"POST": SENSITIVE}
    held_methods = ("POST",)

    @extend_schema(
        operation_id="offboard_user",
        summary="Take all access away, with proof",
        request=OffboardRequest,
        responses={200: OffboardingRecord},
    )
    def post(self, request: Request, user_id: uuid.UUID) -> Response:
        """Disable an account, end everything that it can be entered with, and try each of it.

        The response tells what was refused and after how long. Safe to repeat.
        """
        actor, user = auth_of(request).user, find_user(user_id)
        require_rank(actor, user)
        given = validate(OffboardRequest, request.data)
        report = offboard(actor=actor, user=user, reason=given["reason"])
        return Response(report.as_json())
