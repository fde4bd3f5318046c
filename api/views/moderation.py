"""/api/v1/moderation/violations and …/bans, for administrators; reports by apps."""

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
from rest_framework.views import APIView

from accounts.models import User
from accounts.roles import Role
from accounts.services.ranks import require_rank
from api.pagination import PageQuery, filters_of, paginate
from api.permissions import HasRole, HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import (
    BanRecord,
    EndsOnce,
    ExactMoment,
    ReportedRecord,
    Seconds,
    StrictSerializer,
    ViolationRecord,
    example,
    page_of,
    record,
)
from api.validation import refuse_fields, time_until, validate
from api.views.users import find_user
from core.errors import NotFound, RecordInvalid
from core.web.client_ip import network_key, parse_address
from moderation.models import Ban, Violation
from moderation.reasons import shown
from moderation.services import bans, violations
from moderation.services.bans import MAX_DURATION

MODERATOR = (HasScope(Scope.MODERATION), HasRole(Role.ADMIN))
SENSITIVE = (*MODERATOR, RecentlyAuthenticated())
# A report may cause a ban, so it requires the same as a manual ban.
APP = (HasScope(Scope.SERVICE), HasRole(Role.ADMIN), RecentlyAuthenticated())
DETAIL_MAX_LENGTH = 2000
SCORE_MAX = 1_000_000.0
MIN_BAN = timedelta(seconds=1)


class NetworkField(serializers.CharField):
    """An IP address; IPv6 addresses are reduced to their /64."""

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
    user = serializers.UUIDField(source="user_id", required=False, help_text="Id of the user.")
    network = NetworkField(required=False, help_text="An IP address; IPv6 is reduced to its /64.")
    after = serializers.DateTimeField(
        source="at__gte", required=False, help_text="At or after this time."
    )
    before = serializers.DateTimeField(
        source="at__lt", required=False, help_text="Before this time."
    )


class BanQuery(PageQuery):
    """Filters of the list of bans."""

    user = serializers.UUIDField(source="user_id", required=False, help_text="Id of the user.")
    network = NetworkField(required=False, help_text="An IP address; IPv6 is reduced to its /64.")
    kind = serializers.ChoiceField(Ban.Kind.choices, required=False)
    active = serializers.BooleanField(
        required=False, help_text="True: active bans. False: lifted or expired ones."
    )


class SubjectFields(StrictSerializer):
    """A user, an address, or both."""

    user = serializers.CharField(
        required=False, max_length=254, help_text="Id or email address of the user."
    )
    ip = NetworkField(required=False, help_text="The IP address of the user, as the app sees it.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("user") and not attrs.get("ip"):
            raise serializers.ValidationError({"user": _("Name the user, the ip, or both.")})
        return attrs


class ViolationReport(SubjectFields):
    """A violation that an app reports."""

    type = serializers.RegexField(
        r"^[a-z][a-z0-9_.-]{0,39}\Z", help_text="A name of your choice, such as `spam`."
    )
    score = serializers.FloatField(
        required=False,
        min_value=0,
        max_value=SCORE_MAX,
        help_text="By default the configured score of the type, else 1.",
    )
    detail = serializers.DictField(
        required=False, help_text="Details for administrators; up to 2,000 characters. No secrets."
    )

    def validate_score(self, value: float) -> float:
        if not math.isfinite(value):
            raise serializers.ValidationError(_("This is not a number."))
        return value

    def validate_detail(self, value: dict[str, Any]) -> dict[str, Any]:
        # Databases reject lone surrogates, null characters and infinite numbers.
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
            text.encode()
        except (ValueError, RecursionError):
            text = "\\u0000"
        if len(text) > DETAIL_MAX_LENGTH or "\\u0000" in text:
            message = _("Send up to %(number)s characters of plain JSON.")
            raise serializers.ValidationError(message % {"number": DETAIL_MAX_LENGTH})
        return value


class BanTerms(EndsOnce):
    """End and reason of a ban."""

    span_field = "duration"
    duration = Seconds(shortest=MIN_BAN, longest=MAX_DURATION, allow_null=True)

    expires_at = ExactMoment(
        required=False,
        allow_null=True,
        help_text="Up to ten years from now; null: until it is lifted; after `BAN_DURATION` by "
        "default.",
    )
    reason = serializers.CharField(max_length=200, help_text="Shown to the banned user.")


class NewBan(BanTerms):
    """A new ban of a user, an address, or both together."""

    user = serializers.CharField(
        required=False, max_length=254, help_text="Id or email address of the user."
    )
    network = NetworkField(required=False, help_text="An IP address; of IPv6 its /64 is banned.")


class ViolationsView(APIView):
    """Violations."""

    required_permissions = {"GET": MODERATOR, "POST": APP}

    @extend_schema(
        summary="List violations", parameters=[ViolationQuery], responses=page_of(ViolationRecord)
    )
    def get(self, request: Request) -> Response:
        """Exceeded limits and reported violations, newest first."""
        found = Violation.objects.filter(**filters_of(ViolationQuery, request))
        return paginate(request, found, ViolationRecord)

    @extend_schema(
        summary="Report a violation",
        request=ViolationReport,
        examples=example({"ip": "203.0.113.7", "type": "spam"}),
        responses={201: ReportedRecord},
    )
    def post(self, request: Request) -> Response:
        """Score a violation that the app has detected. It may cause a ban, like an exceeded limit.

        The owner of the API key must be allowed to manage the user.
        """
        given = validate(ViolationReport, request.data)
        user = find_subject(given)
        if user:
            require_rank(auth_of(request).user, user)
        recorded = violations.record_violation(
            type=given["type"],
            user=user,
            network=given.get("ip", ""),
            score=given.get("score"),
            detail=given.get("detail"),
            reported_by=auth_of(request).user,
        )
        ban = _ban_record(recorded.ban) if recorded.ban else None
        violation = record(ViolationRecord, recorded.violation)
        answer = {"violation": violation, "total": violation["total"], "ban": ban}
        return Response(answer, status=201)


class BansView(APIView):
    """Bans."""

    required_permissions = {"GET": MODERATOR, "POST": SENSITIVE}
    held_methods = ("POST",)

    @extend_schema(summary="List bans", parameters=[BanQuery], responses=page_of(BanRecord))
    def get(self, request: Request) -> Response:
        """All bans, newest first, including expired ones."""
        return paginate(request, _found_bans(filters_of(BanQuery, request)), _ban_record)

    @extend_schema(
        summary="Ban a user or an address",
        request=NewBan,
        examples=example({"network": "203.0.113.7", "reason": "spam"}),
        responses={201: BanRecord},
    )
    def post(self, request: Request) -> Response:
        """Ban a user whom you may manage, an address, or both together."""
        actor = auth_of(request).user
        given = validate(
            NewBan, request.data, extra_check=lambda readable: _check_ban(actor, readable)
        )
        _check_ban(actor, given)
        ban = bans.ban(
            actor=actor,
            user=find_subject(given),
            network=given.get("network", ""),
            duration=_duration(given),
            expires_at=given.get("expires_at"),
            reason=given["reason"],
        )
        return _created(ban)


class BanView(APIView):
    """A ban."""

    required_permissions = {"GET": MODERATOR, "DELETE": SENSITIVE}
    held_methods = ("DELETE",)

    @extend_schema(summary="Read a ban", responses=BanRecord)
    def get(self, request: Request, ban_id: uuid.UUID) -> Response:
        """Return one ban."""
        return Response(_ban_record(_find_ban(ban_id)))

    @extend_schema(summary="Lift a ban", request=None, responses={204: None})
    def delete(self, request: Request, ban_id: uuid.UUID) -> Response:
        """Lift a ban of a user and its address. Other bans of that address stay."""
        ban = _find_ban(ban_id)
        refuse_fields(request)
        bans.lift(actor=auth_of(request).user, ban=ban)
        return Response(status=204)


class UserBanView(APIView):
    """A ban of a user."""

    required_permissions = {"POST": SENSITIVE}
    held_methods = ("POST",)

    @extend_schema(summary="Ban a user", request=BanTerms, responses={201: BanRecord})
    def post(self, request: Request, user_id: uuid.UUID) -> Response:
        """Ban a user whom you may manage. Ends their sign-ins and tokens.

        API keys are refused while the ban lasts.
        """
        user = find_user(user_id)
        given = validate(BanTerms, request.data)
        ban = bans.ban(
            actor=auth_of(request).user,
            user=user,
            duration=_duration(given),
            expires_at=given.get("expires_at"),
            reason=given["reason"],
        )
        return _created(ban)


class UserUnbanView(APIView):
    """The end of all bans of a user."""

    required_permissions = {"POST": SENSITIVE}
    held_methods = ("POST",)

    @extend_schema(summary="Lift all bans of a user", request=None, responses={204: None})
    def post(self, request: Request, user_id: uuid.UUID) -> Response:
        """Lift all bans of the user and of their addresses. Without bans it has no effect."""
        user = find_user(user_id)
        refuse_fields(request)
        bans.lift_all(actor=auth_of(request).user, user=user)
        return Response(status=204)


def find_subject(given: dict[str, Any]) -> User | None:
    """Return the user that `user` names by id or address; None without it. Raises RecordInvalid."""
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
    """Raise RecordInvalid with the errors of user, network and end."""
    errors, user = dict[str, list[str]](), None
    try:
        user = find_subject(given)
    except RecordInvalid as error:
        errors |= error.errors
    try:
        bans.check_ban(actor, user=user, network=given.get("network", ""), duration=None)
    except RecordInvalid as error:
        errors = error.errors | errors
    try:
        _duration(given)
    except RecordInvalid as error:
        errors |= error.errors
    if errors:
        raise RecordInvalid(errors)


def _duration(given: dict[str, Any]) -> timedelta | None:
    """How long the ban lasts; None until it is lifted. Raises RecordInvalid."""
    if "expires_at" not in given:
        duration: timedelta | None = given.get("duration", settings.BAN_DURATION)
        return duration
    end = given["expires_at"]
    return end and time_until(end, shortest=MIN_BAN, longest=MAX_DURATION)


def _found_bans(filters: dict[str, Any]) -> QuerySet[Ban]:
    is_active = filters.pop("active", None)
    found = Ban.objects.filter(**filters)
    if is_active is None:
        return found
    active = Ban.objects.active(timezone.now())
    return found & active if is_active else found.exclude(pk__in=active.values("pk"))


def _find_ban(ban_id: uuid.UUID) -> Ban:
    """Return the ban. Raises NotFound."""
    found = Ban.objects.filter(pk=ban_id).first()
    if found is None:
        raise NotFound
    return found


def _created(ban: Ban) -> Response:
    location = f"{settings.PUBLIC_URL}/api/v1/moderation/bans/{ban.pk}"
    return Response(_ban_record(ban), status=201, headers={"Location": location})


def _ban_record(ban: Ban) -> dict[str, Any]:
    return record(BanRecord, ban, state=ban.state(timezone.now()), reason=shown(ban.reason))
