"""/api/v1/moderation/actions/…: what an app has counted, before it does it."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access_policy
from api.serializers import LimitStatusRecord, StartedActionRecord
from api.validation import validate
from api.views.base import ApiView
from api.views.moderation import APP, SubjectFields, find_subject
from core.errors import AccessDenied, NotFound
from moderation.services import actions
from moderation.services.actions import ActionSubject


class ActionSerializer(SubjectFields):
    """Who does the action."""

    user_agent = serializers.CharField(
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        max_length=8192,
        help_text="The person's own `User-Agent`, where only browsers shall do this.",
    )


class Slot(serializers.Serializer[Any]):
    """A place to be given back."""

    slot = serializers.CharField(max_length=300, help_text="As `start` answered it.")


class ActionView(ApiView):
    """One action of an app."""

    required_permissions = {"POST": APP}

    @extend_schema(
        summary="Count an action", request=ActionSerializer, responses={200: LimitStatusRecord}
    )
    def post(self, request: Request, action: str) -> Response:
        """Ask before the app does it: 200 with what is left, or 429 with the violation scored.

        403 with the code `banned` and `until` for whoever may do nothing now; 429 has `until` too
        when this very violation brought a ban.
        """
        doer = self._doer(request, action)
        return Response(actions.count_action(action, doer)._asdict())

    def _doer(self, request: Request, action: str) -> ActionSubject:
        """Who does it. Raises NotFound for no action, AccessDenied for who may do nothing now."""
        _require_known(action)
        given = validate(ActionSerializer, request.data)
        user, network = find_subject(given), given.get("ip", "")
        # Of a network alone the doors are closed; who has signed in goes on there.
        refusal = access_policy.get_denial(user) if user else _refusal_at(network)
        if refusal:
            raise AccessDenied(refusal.code, refusal.message, refusal.until)
        return ActionSubject(
            user=user,
            network=network,
            user_agent=given.get("user_agent"),
            reported_by=self.auth.user,
        )


class ActionStartView(ActionView):
    """The beginning of an action that takes a while."""

    @extend_schema(
        summary="Begin an action", request=ActionSerializer, responses={200: StartedActionRecord}
    )
    def post(self, request: Request, action: str) -> Response:
        """Count it, and take one of the person's places for actions at the same time.

        Give `slot` back at the end with `release`; by itself it is free after 60 seconds.
        """
        started = actions.start_action(action, self._doer(request, action))
        slot = started.slot
        return Response(
            {
                **started.standing._asdict(),
                "slot": slot.name if slot else None,
                "slot_until": slot.until if slot else None,
            }
        )


class ActionReleaseView(ApiView):
    """The end of an action that took a while."""

    required_permissions = {"POST": APP}

    @extend_schema(summary="End an action", request=Slot, responses={204: None})
    def post(self, request: Request, action: str) -> Response:
        """Give a place back. One that was free already makes no difference."""
        _require_known(action)
        actions.release_action(validate(Slot, request.data)["slot"])
        return Response(status=204)


def _require_known(action: str) -> None:
    if action not in settings.ACTIONS:
        raise NotFound


def _refusal_at(network: str) -> access_policy.DenialReason | None:
    return access_policy.client_denial(network.partition("/")[0])
