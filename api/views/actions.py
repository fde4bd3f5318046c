"""/api/v1/moderation/actions/…: what an app has counted, before it does it."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import gates
from accounts.errors import NotFound
from api.serializers import StandingRecord, StartedRecord
from api.views.base import ApiView, checked
from api.views.moderation import APP, Whom, named
from moderation.services import actions
from moderation.services.actions import Doer


class Deed(Whom):
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

    needs = {"POST": APP}

    @extend_schema(summary="Count an action", request=Deed, responses={200: StandingRecord})
    def post(self, request: Request, action: str) -> Response:
        """Ask before the app does it: 200 with what is left, or 429 with the violation scored.

        403 with the code `banned` and `until` for whoever may do nothing now; 429 has `until` too
        when this very violation brought a ban.
        """
        doer = self._doer(request, action)
        return Response(actions.count_action(action, doer)._asdict())

    def _doer(self, request: Request, action: str) -> Doer:
        """Who does it. Raises NotFound for no action; Refused for whoever may do nothing now."""
        _require_known(action)
        given = checked(Deed, request.data)
        user, network = named(given), given.get("ip", "")
        # Of a network alone the doors are closed; who has signed in goes on there.
        refusal = gates.refusal(user) if user else _refusal_at(network)
        if refusal:
            raise refusal.as_error()
        return Doer(
            user=user,
            network=network,
            user_agent=given.get("user_agent"),
            reported_by=self.access.user,
        )


class ActionStartView(ActionView):
    """The beginning of an action that takes a while."""

    @extend_schema(summary="Begin an action", request=Deed, responses={200: StartedRecord})
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

    needs = {"POST": APP}

    @extend_schema(summary="End an action", request=Slot, responses={204: None})
    def post(self, request: Request, action: str) -> Response:
        """Give a place back. One that was free already makes no difference."""
        _require_known(action)
        actions.release_action(checked(Slot, request.data)["slot"])
        return Response(status=204)


def _require_known(action: str) -> None:
    if action not in settings.ACTIONS:
        raise NotFound


def _refusal_at(network: str) -> gates.Refusal | None:
    return gates.client_refusal(network.partition("/")[0])
