"""/api/v1/access-rules/simulate: what a check would decide, and why. Changes and counts nothing."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.roles import Role
from api.permissions import HasRole, HasScope, Scope
from api.serializers import Shape, StrictSerializer, example
from api.validation import validate
from core.errors import RecordInvalid
from forward_auth.decisions import Question
from forward_auth.models import AccessRule
from forward_auth.rules.matching import Condition, MatchState
from forward_auth.rules.path_readings import MAX_LENGTH
from forward_auth.rules.validation import METHODS
from forward_auth.services.explanations import QUESTIONS, explain_step
from forward_auth.services.simulation import (
    SimulatedRequest,
    Simulation,
    Subject,
    app_of_simulation,
    find_subject,
    simulate,
)

ADMIN = (HasScope(Scope.USERS), HasRole(Role.ADMIN))


class SimulationRequest(StrictSerializer):
    """A request to an app, and who makes it."""

    who = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=254,
        help_text="Id, email address or user name of a user, or id of an API key. Empty: a client "
        "that is not signed in.",
    )
    url = serializers.CharField(
        max_length=MAX_LENGTH, help_text="As in the browser; `https://` may be missing."
    )
    method = serializers.ChoiceField([(name, name) for name in METHODS], default="GET")
    ip = serializers.IPAddressField(
        default="", allow_blank=True, help_text="IP address of the client. Empty: unknown."
    )
    role = serializers.ChoiceField(
        AccessRule.LEVELS, required=False, help_text="`?role=…` in the configuration of the proxy."
    )


class SimulatedRuleRecord(Shape):
    """What became of one rule."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    state = serializers.ChoiceField([(state.value, state.name) for state in MatchState])
    unmet = serializers.ListField(
        child=serializers.ChoiceField([(one.value, one.name) for one in Condition]),
        help_text="The conditions that the request does not meet, or that are not clear.",
    )
    decides = serializers.BooleanField()


class SimulatedStepRecord(Shape):
    """One question of the decision."""

    code = serializers.ChoiceField([(one.value, one.name) for one in Question])
    question = serializers.CharField(help_text="In your language.")
    is_passed = serializers.BooleanField()
    why = serializers.CharField(allow_blank=True, help_text="In your language.")


class SimulationRecord(Shape):
    """The result of a check."""

    status = serializers.IntegerField(help_text="204, 401 or 403, as the proxy would get it.")
    is_allowed = serializers.BooleanField()
    code = serializers.CharField(allow_blank=True, help_text="Why not; empty if it is allowed.")
    why = serializers.CharField(allow_blank=True, help_text="The same in your language.")
    rule_id = serializers.UUIDField(allow_null=True, help_text="Null: the default decided.")
    app_id = serializers.UUIDField(
        allow_null=True, help_text="The app of that rule, else the app at this address."
    )
    path = serializers.CharField(help_text="The reading of the path that decided.")
    unclear = serializers.ListField(
        child=serializers.ChoiceField([(one.value, one.name) for one in Condition]),
        help_text="What the request does not say; the strictest rule counts then.",
    )
    rules = SimulatedRuleRecord(many=True)
    steps = SimulatedStepRecord(many=True)
    headers = serializers.DictField(
        child=serializers.CharField(), help_text="What the app would receive."
    )


class SimulationView(APIView):
    """Simulated requests."""

    required_permissions = {"POST": ADMIN}

    @extend_schema(
        operation_id="simulate_request",
        summary="Simulate a request",
        request=SimulationRequest,
        examples=example({"who": "", "url": "https://app.example.com/admin"}),
        responses={200: SimulationRecord},
    )
    def post(self, request: Request) -> Response:
        """Say what a check of this request would decide now, and why. Changes nothing."""
        given = validate(SimulationRequest, request.data, extra_check=_check)
        subject = _subject(given)
        url = given["url"] if "://" in given["url"] else f"https://{given['url']}"
        override = Role(given["role"]) if "role" in given else None
        asked = SimulatedRequest(url, given["method"], given["ip"], override)
        return Response(_record(simulate(asked, subject), subject))


def _check(given: dict[str, Any]) -> None:
    _subject(given)


def _subject(given: dict[str, Any]) -> Subject:
    found = find_subject(given.get("who", ""))
    if found is None:
        raise RecordInvalid({"who": [_("No account and no API key has this name.")]})
    return found


def _record(found: Simulation, subject: Subject) -> dict[str, Any]:
    decision = found.result.decision
    is_allowed = decision.status == 204
    rule_id = decision.requirement.rule_id or None
    app = app_of_simulation(found)
    steps = [
        {
            "code": step.question,
            "question": str(QUESTIONS[step.question]),
            "is_passed": step.is_passed,
            "why": explain_step(step, subject, decision),
        }
        for step in found.steps
    ]
    return {
        "status": decision.status,
        "is_allowed": is_allowed,
        "code": decision.code,
        "why": "" if is_allowed else steps[-1]["why"],
        "rule_id": rule_id,
        "app_id": app.pk if app else None,
        "path": found.decisive.target.path,
        "unclear": sorted(found.unclear),
        "rules": [
            {
                "id": step.rule.id,
                "name": step.rule.name,
                "state": step.state,
                "unmet": list(step.unmet),
                "decides": step.rule.id == rule_id,
            }
            for step in found.decisive.rules
        ],
        "steps": steps,
        "headers": dict(found.result.headers) if is_allowed else {},
    }
