"""/api/v1/moderation/violations and …/bans: for operators; reports for apps."""

import json
import math
import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.client import network_key, parse_address
from accounts.errors import NotFound, RecordInvalid
from accounts.models import User
from accounts.roles import Role
from accounts.services.users import require_rank
from api.access import Need, Scope
from api.pagination import PageQuery, page
from api.serializers import BanRecord, ReportedRecord, ViolationRecord, page_of
from api.views.base import ApiView, checked, queried
from api.views.users import find_user
from moderation.models import Ban, Violation
from moderation.reasons import shown
from moderation.services import bans, violations

MODERATOR = Need(Scope.MODERATION, Role.ADMIN)
SENSITIVE = Need(Scope.MODERATION, Role.ADMIN, is_sensitive=True)
# A report may ban, so it asks what a ban by hand asks.
APP = Need(Scope.SERVICE, Role.ADMIN, is_sensitive=True)
DETAIL_MAX_LENGTH = 2000
SCORE_MAX = 1_000_000.0
LONGEST_BAN = 3653 * 24 * 3600
VIOLATION_COLUMNS = {
    "type": "type",
    "user": "user_id",
    "network": "network",
    "after": "at__gte",
    "before": "at__lt",
}
BAN_COLUMNS = {"user": "user_id", "network": "network", "kind": "kind"}


class NetworkField(serializers.CharField):
    """An address, read as the name that its client is counted under."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=64, **options)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if parse_address(text.partition("/")[0]) is None:
            raise serializers.ValidationError(_("This is not an IP address."))
        return network_key(text.partition("/")[0])


class ViolationQuery(PageQuery):
    """Filters of the list of violations."""

    type = serializers.CharField(required=False, max_length=40)
    user = serializers.UUIDField(required=False, help_text="Id of the person.")
    network = NetworkField(required=False, help_text="An address; of IPv6 its /64 counts.")
    after = serializers.DateTimeField(required=False, help_text="This moment or later.")
    before = serializers.DateTimeField(required=False, help_text="Before this moment.")


class BanQuery(PageQuery):
    """Filters of the list of bans."""

    user = serializers.UUIDField(required=False, help_text="Id of the person.")
    network = NetworkField(required=False, help_text="An address; of IPv6 its /64 counts.")
    kind = serializers.ChoiceField(Ban.Kind.choices, required=False)
    active = serializers.BooleanField(
        required=False, help_text="True: those in force. False: those lifted or over."
    )


class Whom(serializers.Serializer[Any]):
    """A person, an address, or both."""

    user = serializers.CharField(
        required=False, max_length=254, help_text="Id or email address of the person."
    )
    ip = NetworkField(required=False, help_text="The person's address, as the app sees it.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("user") and not attrs.get("ip"):
            raise serializers.ValidationError({"user": _("Name the user, the ip, or both.")})
        return attrs


class Report(Whom):
    """A violation that an app has seen."""

    type = serializers.RegexField(
        r"^[a-z][a-z0-9_.-]{0,39}\Z", help_text="A name of your own, as in `spam`."
    )
    score = serializers.FloatField(
        required=False,
        min_value=0,
        max_value=SCORE_MAX,
        help_text="What it counts; else what is configured for the type, else 1.",
    )
    detail = serializers.DictField(
        required=False, help_text="What operators shall read; up to 2,000 characters. No secrets."
    )

    def validate_score(self, value: float) -> float:
        if not math.isfinite(value):
            raise serializers.ValidationError(_("This is not a number."))
        return value

    def validate_detail(self, value: dict[str, Any]) -> dict[str, Any]:
        # What no database takes: lone surrogates, null characters, numbers beyond all bounds.
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
            text.encode()
        except (ValueError, RecursionError):
            text = "\\u0000"
        if len(text) > DETAIL_MAX_LENGTH or "\\u0000" in text:
            message = _("Send up to %(number)s characters of plain JSON.")
            raise serializers.ValidationError(message % {"number": DETAIL_MAX_LENGTH})
        return value


class BanWish(serializers.Serializer[Any]):
    """How long, and why."""

    duration = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=LONGEST_BAN,
        help_text="Seconds; null: until it is lifted; `BAN_DURATION` unless told.",
    )
    reason = serializers.CharField(max_length=200, help_text="The banned person reads this.")


class NewBan(BanWish):
    """Whom to ban, how long, and why: a person, an address, or both together."""

    user = serializers.CharField(
        required=False, max_length=254, help_text="Id or email address of the person."
    )
    network = NetworkField(required=False, help_text="An address; of IPv6 its /64 is banned.")


class ViolationsView(ApiView):
    """Violations."""

    needs = {"GET": MODERATOR, "POST": APP}

    @extend_schema(
        summary="List violations", parameters=[ViolationQuery], responses=page_of(ViolationRecord)
    )
    def get(self, request: Request) -> Response:
        """Exceeded limits and reported deeds, newest first."""
        asked = queried(ViolationQuery, request)
        found = Violation.objects.filter(
            **{column: asked[name] for name, column in VIOLATION_COLUMNS.items() if name in asked}
        )
        return page(request, found, _violation_record)

    @extend_schema(summary="Report a violation", request=Report, responses={201: ReportedRecord})
    def post(self, request: Request) -> Response:
        """Score a deed that the app has seen. It may ban, as an exceeded limit does.

        The owner of the key must be allowed to manage the person.
        """
        given = checked(Report, request.data)
        user = named(given)
        if user:
            require_rank(self.access.user, user)
        outcome = violations.violate(
            type=given["type"],
            user=user,
            network=given.get("ip", ""),
            score=given.get("score"),
            detail=given.get("detail"),
            reported_by=self.access.user,
        )
        ban = _ban_record(outcome.ban) if outcome.ban else None
        record = _violation_record(outcome.violation)
        return Response({"violation": record, "total": record["total"], "ban": ban}, status=201)


class BansView(ApiView):
    """Bans."""

    needs = {"GET": MODERATOR, "POST": SENSITIVE}

    @extend_schema(summary="List bans", parameters=[BanQuery], responses=page_of(BanRecord))
    def get(self, request: Request) -> Response:
        """All bans, newest first, those that are over among them."""
        return page(request, _found_bans(queried(BanQuery, request)), _ban_record)

    @extend_schema(summary="Ban a person or an address", request=NewBan, responses={201: BanRecord})
    def post(self, request: Request) -> Response:
        """Ban a person of a role below the own one, an address, or both together."""
        actor = self.access.user
        given = checked(NewBan, request.data, also=lambda readable: _check_ban(actor, readable))
        _check_ban(actor, given)
        ban = bans.ban(
            actor=actor,
            user=named(given),
            network=given.get("network", ""),
            duration=_duration(given),
            reason=given["reason"],
        )
        return _made(ban)


class BanView(ApiView):
    """One ban."""

    needs = {"GET": MODERATOR, "DELETE": SENSITIVE}

    @extend_schema(summary="Read a ban", responses=BanRecord)
    def get(self, request: Request, ban_id: uuid.UUID) -> Response:
        """One ban."""
        return Response(_ban_record(_find_ban(ban_id)))

    @extend_schema(summary="Lift a ban", request=None, responses={204: None})
    def delete(self, request: Request, ban_id: uuid.UUID) -> Response:
        """Lift a ban, with the address that it names. Other bans of that address stay."""
        bans.lift(actor=self.access.user, ban=_find_ban(ban_id))
        return Response(status=204)


class UserBanView(ApiView):
    """A ban of one person."""

    needs = {"POST": SENSITIVE}

    @extend_schema(summary="Ban a person", request=BanWish, responses={201: BanRecord})
    def post(self, request: Request, user_id: uuid.UUID) -> Response:
        """Ban a person of a role below the own one. All sign-ins of the person end."""
        user = find_user(user_id)
        given = checked(BanWish, request.data)
        ban = bans.ban(
            actor=self.access.user,
            user=user,
            duration=_duration(given),
            reason=given["reason"],
        )
        return _made(ban)


class UserUnbanView(ApiView):
    """The end of all bans of one person."""

    needs = {"POST": SENSITIVE}

    @extend_schema(summary="Lift all bans of a person", request=None, responses={204: None})
    def post(self, request: Request, user_id: uuid.UUID) -> Response:
        """Lift whatever bans the person has, with their addresses; none is fine too."""
        bans.lift_all(actor=self.access.user, user=find_user(user_id))
        return Response(status=204)


def named(given: dict[str, Any]) -> User | None:
    """Whom `user` names by id or address. Raises RecordInvalid when there is nobody."""
    text = given.get("user", "")
    if not text:
        return None
    found: User | None
    try:
        found = User.objects.filter(pk=uuid.UUID(text)).first()
    except ValueError:
        found = User.objects.with_login(text).first() if "@" in text else None
    if found is None:
        raise RecordInvalid({"user": [_("There is no such person.")]})
    return found


def _check_ban(actor: User, given: dict[str, Any]) -> None:
    """Raise RecordInvalid with everything that is wrong: whom, where, how long."""
    errors, user = dict[str, list[str]](), None
    try:
        user = named(given)
    except RecordInvalid as error:
        errors |= error.errors
    try:
        bans.check_ban(
            actor, user=user, network=given.get("network", ""), duration=_duration(given)
        )
    except RecordInvalid as error:
        errors = error.errors | errors
    if errors:
        raise RecordInvalid(errors)


def _duration(given: dict[str, Any]) -> timedelta | None:
    if "duration" not in given:
        standard: timedelta = settings.BAN_DURATION
        return standard
    seconds = given["duration"]
    return None if seconds is None else timedelta(seconds=seconds)


def _found_bans(asked: dict[str, Any]) -> QuerySet[Ban]:
    found = Ban.objects.filter(
        **{column: asked[name] for name, column in BAN_COLUMNS.items() if name in asked}
    )
    if "active" not in asked:
        return found
    active = Ban.objects.active(timezone.now())
    if asked["active"]:
        return found & active
    return found.exclude(pk__in=active.values("pk"))


def _find_ban(ban_id: uuid.UUID) -> Ban:
    """The ban. Raises NotFound."""
    found = Ban.objects.filter(pk=ban_id).first()
    if found is None:
        raise NotFound
    return found


def _made(ban: Ban) -> Response:
    location = f"{settings.PUBLIC_URL}/api/v1/moderation/bans/{ban.pk}"
    return Response(_ban_record(ban), status=201, headers={"Location": location})


def _violation_record(violation: Violation) -> dict[str, Any]:
    return {
        "id": violation.pk,
        "type": violation.type,
        "score": violation.score,
        "total": violation.total_after,
        "user_id": violation.user_id,
        "network": violation.network,
        "at": violation.at,
        "limit": violation.limit,
        "detail": violation.detail,
        "ban_id": violation.ban_id,
        "reported_by": violation.reported_by,
    }


def _ban_record(ban: Ban) -> dict[str, Any]:
    return {
        "id": ban.pk,
        "user_id": ban.user_id,
        "network": ban.network,
        "kind": ban.kind,
        "state": ban.state(timezone.now()),
        "reason": shown(ban.reason),
        "created_at": ban.created_at,
        "until": ban.until,
        "created_by": ban.created_by,
        "lifted_at": ban.lifted_at,
        "lifted_by": ban.lifted_by,
    }
