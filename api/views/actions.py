"""/api/v1/moderation/actions/…: apps count actions of their users before they perform them."""

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import access_policy
from api.permissions import auth_of
from api.serializers import LimitStatusRecord, StartedActionRecord, StrictSerializer, example
from api.validation import validate
from api.views.moderation import APP, SubjectFields, find_subject
from core.errors import NotFound
from moderation.services import actions
from moderation.services.actions import ActionSubject

EXAMPLE = example({"ip": "203.0.113.7"})


class ActionSerializer(SubjectFields):
    """Who performs the action."""

    user_agent = serializers.CharField(
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        max_length=8192,
        help_text="The `User-Agent` of the user, if only browsers may perform this action.",
    )


class Slot(StrictSerializer):
    """A slot to release."""

    slot = serializers.CharField(max_length=300, help_text="The value that `start` returned.")


class ActionView(APIView):
    """An action of an app."""

    required_permissions = {"POST": APP}

    @extend_schema(
        summary="Count an action",
        request=ActionSerializer,
        examples=EXAMPLE,
        responses={200: LimitStatusRecord},
    )
    def post(self, request: Request, action: str) -> Response:
        """Count an action before the app performs it.

        200 with the remaining quota, or 429 after scoring a violation. 403 `banned` with `until`
        for a banned user or address; 429 also has `until` if this violation caused a ban.
        """
        doer = self._doer(request, action)
        return Response(actions.count_action(action, doer)._asdict())

    def _doer(self, request: Request, action: str) -> ActionSubject:
        """Return who performs the action. Raises NotFound, AccessDenied."""
        _require_known(action)
        given = validate(ActionSerializer, request.data)
        user, network = find_subject(given), given.get("ip", "")
        # A ban of a network alone only stops clients without an account.
        refusal = access_policy.account_denial(user) if user else _refusal_at(network)
        if refusal:
            raise refusal.as_error()
        return ActionSubject(
            user=user,
            network=network,
            user_agent=given.get("user_agent"),
            reported_by=auth_of(request).user,
        )


class ActionStartView(ActionView):
    """The start of a long-running action."""

    @extend_schema(
        summary="Start an action",
        request=ActionSerializer,
        examples=EXAMPLE,
        responses={200: StartedActionRecord},
    )
    def post(self, request: Request, action: str) -> Response:
        """Count an action, and take one of the user's slots for concurrent actions.

        Release `slot` at the end with `release`; it is released automatically after 60 seconds.
        """
        started = actions.start_action(action, self._doer(request, action))
        slot = started.slot
        return Response(
            {
                **started.standing._asdict(),
                "slot": slot.name if slot else None,
                "slot_expires_at": slot.until if slot else None,
            }
        )


class ActionReleaseView(APIView):
    """The end of a long-running action."""

    required_permissions = {"POST": APP}

    @extend_schema(summary="End an action", request=Slot, responses={204: None})
    def post(self, request: Request, action: str) -> Response:
        """Release a slot. Releasing it twice has no effect."""
        _require_known(action)
        actions.release_action(validate(Slot, request.data)["slot"])
        return Response(status=204)


def _require_known(action: str) -> None:
    if action not in settings.ACTIONS:
        raise NotFound


def _refusal_at(network: str) -> access_policy.DenialReason | None:
    return access_policy.client_denial(network.partition("/")[0])
