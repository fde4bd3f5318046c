"""/api/v1/access-reviews: start reviews, decide about their accounts, close and export them."""

import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access_reviews.models import NAME_MAX_LENGTH, NOTE_MAX_LENGTH, AccessReview, ReviewItem
from access_reviews.records import review_records
from access_reviews.services.decisions import Removal, confirm, postpone, take_away
from access_reviews.services.exports import export_csv, item_lines, item_record
from access_reviews.services.reviews import (
    MAX_REVIEWERS,
    REASON_MAX_LENGTH,
    ReviewRequest,
    check_request,
    close_review,
    possible_reviewers,
    start_review,
)
from accounts.group_names import MAX_NAME_LENGTH
from accounts.models import ROLE_LABELS
from accounts.roles import Role
from api.pagination import KeysetPagination, PageQuery, filters_of, paginate
from api.permissions import HasRole, HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import ExactMoment, Shape, StrictSerializer, example, page_of
from api.validation import validate
from api.views.bulk import CSVRenderer
from core.errors import NotFound

ADMIN = (HasScope(Scope.USERS), HasRole(Role.ADMIN))
SENSITIVE = (*ADMIN, RecentlyAuthenticated())
MAX_KEYS = 100
DECISIONS = [("confirm", "Confirm"), ("take_away", "Take away"), ("later", "Later")]
STATES = [("open", "Open"), ("closed", "Closed"), ("overdue", "Overdue")]


class AccessReviewRecord(Shape):
    """An access review."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    scope = serializers.ChoiceField(AccessReview.Scope.choices, help_text="Who is reviewed.")
    min_role = serializers.CharField(
        allow_blank=True, help_text="With the scope `role`: the lowest role that is reviewed."
    )
    group = serializers.CharField(
        allow_blank=True, help_text="With the scope `group`: its name when the review started."
    )
    group_id = serializers.UUIDField(allow_null=True)
    due_at = serializers.DateTimeField()
    disable_undecided = serializers.BooleanField(
        help_text="Whether accounts without a decision are disabled at `due_at`. Never owners."
    )
    reviewers = serializers.ListField(child=serializers.UUIDField(), help_text="Ids of users.")
    started_by = serializers.UUIDField(allow_null=True, help_text="Null: the command line.")
    created_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    closed_by = serializers.UUIDField(
        allow_null=True, help_text="Null: the command line, or everything was decided."
    )
    close_reason = serializers.CharField(allow_blank=True)
    items = serializers.IntegerField(help_text="How many accounts it lists.")
    undecided = serializers.IntegerField(help_text="How many of them have no decision.")


class KeyAccessRecord(Shape):
    """A live API key of an account."""

    id = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    expires_at = serializers.CharField(allow_blank=True, help_text="Empty: never.")


class AccessRecord(Shape):
    """What an account may do. Ends are empty where there is none."""

    role = serializers.CharField()
    is_active = serializers.BooleanField()
    role_until = serializers.CharField(allow_blank=True)
    role_after = serializers.CharField(allow_blank=True)
    expires_at = serializers.CharField(allow_blank=True)
    keys = KeyAccessRecord(many=True)


class ReviewItemRecord(Shape):
    """An account of a review."""

    id = serializers.UUIDField()
    user_id = serializers.UUIDField()
    email = serializers.CharField(allow_null=True, help_text="Null: deleted, or a service account.")
    name = serializers.CharField(allow_blank=True)
    responsible_id = serializers.UUIDField(
        allow_null=True, help_text="Who answers for a service account. Null for people."
    )
    access = AccessRecord(help_text="What is decided about: the present access, or the decided.")
    access_at_start = AccessRecord()
    seen = serializers.CharField(
        allow_blank=True, help_text="Send it with the decision: it identifies `access`."
    )
    decision = serializers.ChoiceField(ReviewItem.Decision.choices)
    decided_by = serializers.UUIDField(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField(allow_blank=True)
    effect = serializers.DictField(
        help_text="What was taken away: `role_before`, `role_after`, `disabled`, `keys`."
    )


class ReviewQuery(PageQuery):
    """Filters of the list of reviews."""

    state = serializers.ChoiceField(STATES, required=False)


class ItemQuery(PageQuery):
    """Filters of the accounts of a review."""

    decision = serializers.ChoiceField(ReviewItem.Decision.choices, required=False)
    user = serializers.UUIDField(source="user_id", required=False, help_text="Id of the user.")


class NewReview(StrictSerializer):
    """A review to start."""

    name = serializers.CharField(max_length=NAME_MAX_LENGTH)
    due_at = ExactMoment(help_text="In the future; a day away with `disable_undecided`.")
    scope = serializers.ChoiceField(
        AccessReview.Scope.choices, default=AccessReview.Scope.ALL.value
    )
    min_role = serializers.ChoiceField(
        ROLE_LABELS, default="", allow_blank=True, help_text="With the scope `role`."
    )
    group = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=MAX_NAME_LENGTH,
        help_text="With the scope `group`: its name or id.",
    )
    reviewers = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        max_length=MAX_REVIEWERS,
        help_text="Ids of administrators; yourself by default. Every owner can decide as well.",
    )
    disable_undecided = serializers.BooleanField(default=False)


class NewDecision(StrictSerializer):
    """A decision about an account. `role`, `disable` and `keys` say what is taken away."""

    decision = serializers.ChoiceField(DECISIONS)
    seen = serializers.CharField(
        default="", allow_blank=True, max_length=64, help_text="Of the item; not for `later`."
    )
    role = serializers.ChoiceField(
        ROLE_LABELS, default="", allow_blank=True, help_text="A lower role."
    )
    disable = serializers.BooleanField(default=False, help_text="Disable the account.")
    keys = serializers.ListField(
        child=serializers.CharField(max_length=12),
        default=list,
        max_length=MAX_KEYS,
        help_text="Ids of API keys to revoke.",
    )
    note = serializers.CharField(default="", allow_blank=True, max_length=NOTE_MAX_LENGTH)


class Closing(StrictSerializer):
    """Why a review is closed before everything is decided."""

    reason = serializers.CharField(max_length=REASON_MAX_LENGTH)


class AccessReviewsView(APIView):
    """Access reviews."""

    required_permissions = {"GET": ADMIN, "POST": SENSITIVE}

    @extend_schema(
        operation_id="list_access_reviews",
        summary="List access reviews",
        parameters=[ReviewQuery],
        responses=page_of(AccessReviewRecord),
    )
    def get(self, request: Request) -> Response:
        """All reviews, newest first."""
        state = filters_of(ReviewQuery, request).get("state")
        found = AccessReview.objects.all()
        if state:
            found = found.filter(closed_at__isnull=state != "closed")
        if state == "overdue":
            found = found.filter(due_at__lte=timezone.now())
        return paginate(request, found, lambda review: review_records([review])[0])

    @extend_schema(
        operation_id="start_access_review",
        summary="Start an access review",
        request=NewReview,
        examples=example({"name": "Administrators", "scope": "role", "min_role": "admin",
                          "due_at": "2026-12-18T17:00:00Z"}),
        responses={201: AccessReviewRecord},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """List the accounts that can sign in now, and mail the reviewers. Nothing else changes."""
        actor = auth_of(request).user
        given = validate(NewReview, request.data, extra_check=lambda read: _check(read, actor.pk))
        wanted = ReviewRequest(**{"reviewers": [actor.pk], **given})
        review = start_review(actor=actor, wanted=wanted)
        location = f"{settings.PUBLIC_URL}/api/v1/access-reviews/{review.pk}"
        return Response(review_records([review])[0], status=201, headers={"Location": location})


class AccessReviewView(APIView):
    """An access review."""

    required_permissions = {"GET": ADMIN}

    @extend_schema(
        operation_id="get_access_review",
        summary="Read an access review",
        responses=AccessReviewRecord,
    )
    def get(self, request: Request, review_id: uuid.UUID) -> Response:
        """Return one review."""
        return Response(review_records([_find(review_id)])[0])


class ReviewItemsView(APIView):
    """The accounts of an access review."""

    required_permissions = {"GET": ADMIN}

    @extend_schema(
        operation_id="list_access_review_items",
        summary="List the accounts of a review",
        parameters=[ItemQuery],
        responses=page_of(ReviewItemRecord),
    )
    def get(self, request: Request, review_id: uuid.UUID) -> Response:
        """The accounts of a review with their access, and what was decided; newest first."""
        rows = _find(review_id).items.filter(**filters_of(ItemQuery, request))
        page = KeysetPagination()
        found = page.paginate_queryset(rows, request)
        return page.get_paginated_response([item_record(line) for line in item_lines(found)])


class DecisionView(APIView):
    """A decision about an account."""

    required_permissions = {"POST": SENSITIVE}
    held_methods = ("POST",)

    @extend_schema(
        operation_id="decide_access",
        summary="Confirm access or take it away",
        request=NewDecision,
        examples=example({"decision": "take_away", "seen": "9f2c41d07be3a658", "role": "viewer"}),
        responses=ReviewItemRecord,
    )
    def post(self, request: Request, review_id: uuid.UUID, item_id: uuid.UUID) -> Response:
        """Decide about one account. What is taken away is taken away at once.

        Refused if the access is not what `seen` identifies: read the item again. An item is
        decided once, except for `later`.
        """
        item = _find_item(review_id, item_id)
        given = validate(NewDecision, request.data)
        decided = _decide(auth_of(request).user, item, given)
        (line,) = item_lines([decided])
        return Response(item_record(line))


class CloseView(APIView):
    """The end of a review."""

    required_permissions = {"POST": SENSITIVE}

    @extend_schema(
        operation_id="close_access_review",
        summary="Close an access review",
        request=Closing,
        responses=AccessReviewRecord,
    )
    def post(self, request: Request, review_id: uuid.UUID) -> Response:
        """Close a review by hand. Accounts without a decision keep their access."""
        review = _find(review_id)
        given = validate(Closing, request.data)
        closed = close_review(actor=auth_of(request).user, review=review, reason=given["reason"])
        return Response(review_records([closed])[0])


class ExportView(APIView):
    """A review as a file."""

    required_permissions = {"GET": SENSITIVE}
    renderer_classes = (CSVRenderer,)

    @extend_schema(
        operation_id="export_access_review",
        summary="Export an access review",
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request, review_id: uuid.UUID) -> StreamingHttpResponse:
        """Download all accounts of a review as CSV. For JSON, list its items.

        A cell that a spreadsheet program would run as a formula begins with an apostrophe.
        """
        lines = export_csv(actor=auth_of(request).user, review=_find(review_id))
        return StreamingHttpResponse(
            lines,
            content_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="access-review-{review_id}.csv"',
                "Cache-Control": "no-store",
            },
        )


def _decide(actor: Any, item: ReviewItem, given: dict[str, Any]) -> ReviewItem:
    note, seen = given["note"], given["seen"]
    if given["decision"] == "later":
        return postpone(actor=actor, item=item, note=note)
    if given["decision"] == "confirm":
        return confirm(actor=actor, item=item, seen=seen, note=note)
    removal = Removal(given["role"], given["disable"], given["keys"])
    return take_away(actor=actor, item=item, seen=seen, removal=removal, note=note)


def _check(given: dict[str, Any], actor_id: uuid.UUID) -> None:
    """Raise RecordInvalid with what the service refuses of the fields that are valid."""
    tomorrow = timezone.now() + timedelta(days=2)
    wanted = ReviewRequest(**{"name": "-", "due_at": tomorrow, "reviewers": [actor_id], **given})
    check_request(wanted, possible_reviewers(wanted.reviewers), timezone.now())


def _find(review_id: uuid.UUID) -> AccessReview:
    """Return the review. Raises NotFound."""
    found = AccessReview.objects.filter(pk=review_id).first()
    if found is None:
        raise NotFound
    return found


def _find_item(review_id: uuid.UUID, item_id: uuid.UUID) -> ReviewItem:
    found = ReviewItem.objects.filter(pk=item_id, review=review_id).first()
    if found is None:
        raise NotFound
    return found
