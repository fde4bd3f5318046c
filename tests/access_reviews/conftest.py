"""A review of everyone, and its items by person."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from access_reviews.models import AccessReview, ReviewItem
from access_reviews.scopes import access_of
from access_reviews.services.reviews import ReviewRequest, start_review
from accounts.models import User

StartReview = Callable[..., AccessReview]
ItemOf = Callable[..., ReviewItem]


def seen_of(user: User) -> str:
    """The fingerprint that a page about `user` shows now."""
    return access_of([User.objects.get(pk=user.pk)])[user.pk].fingerprint


def item_of(review: AccessReview, user: User) -> ReviewItem:
    """The item about `user`."""
    return ReviewItem.objects.select_related("review").get(review=review, user_id=user.pk)


@pytest.fixture
def start(db: None) -> StartReview:
    """start(actor, *reviewers, **fields of the request) -> a review, due in 14 days."""

    def make(actor: Any, *reviewers: User, **fields: Any) -> AccessReview:
        given = {"name": "Quarter", "due_at": timezone.now() + timedelta(days=14)} | fields
        keys = [user.pk for user in reviewers or (actor,)]
        return start_review(actor=actor, wanted=ReviewRequest(reviewers=keys, **given))

    return make
