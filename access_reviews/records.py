"""A review as the API and the command show it, with the same names."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Count

from access_reviews.models import UNDECIDED, AccessReview, ReviewItem


def review_records(reviews: Iterable[AccessReview]) -> list[dict[str, Any]]:
    """Reviews with their reviewers and counts, by two queries for all of them."""
    reviews = list(reviews)
    keys = [review.pk for review in reviews]
    counts = _counts(keys)
    reviewers: dict[UUID, list[UUID]] = {key: [] for key in keys}
    rows = AccessReview.objects.filter(pk__in=keys, reviewers__isnull=False)
    for key, user in rows.order_by("reviewers__pk").values_list("pk", "reviewers__user_id"):
        reviewers[key].append(user)
    return [_record(review, reviewers[review.pk], counts.get(review.pk, (0, 0)))
            for review in reviews]  # fmt: skip


def _counts(keys: Iterable[UUID]) -> dict[UUID, tuple[int, int]]:
    """Review -> all items, and those that can still be decided."""
    rows = ReviewItem.objects.filter(review__in=list(keys)).order_by()
    counts: dict[UUID, tuple[int, int]] = {}
    # By decision, because the index sorts them so; a condition would read each row.
    for key, decision, number in rows.values_list("review", "decision").annotate(
        items_count=Count("*")
    ):
        total, left = counts.get(key, (0, 0))
        counts[key] = (total + number, left + number * (decision in UNDECIDED))
    return counts


def _record(review: AccessReview, reviewers: list[UUID], counts: tuple[int, int]) -> dict[str, Any]:
    names = (
        "id", "name", "scope", "min_role", "group_id", "due_at", "disable_undecided", "started_by",
        "created_at", "closed_at", "closed_by", "close_reason",
    )  # fmt: skip
    left = counts[1] if review.is_open else review.left_undecided
    return {
        **{name: getattr(review, name) for name in names},
        "group": review.group_name,
        "reviewers": reviewers,
        "items": counts[0],
        "undecided": left,
    }
