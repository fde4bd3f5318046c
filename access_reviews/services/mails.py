"""Mails to the reviewers of a review."""

from collections.abc import Iterable

from access_reviews.models import AccessReview
from accounts.models import User
from core.text.email_addresses import is_placeholder
from mail.outbox import draft_mail, enqueue


def tell_reviewers(
    review: AccessReview, reviewers: Iterable[User], phase: str, undecided: int
) -> None:
    """Queue a mail for each reviewer, in the caller's transaction, under their locks.

    phase: started, soon or overdue.
    """
    context = {
        "name": review.name,
        "phase": phase,
        "undecided": undecided,
        "due_at": review.due_at,
        "disables": review.disable_undecided,
        "review_id": str(review.pk),
    }
    enqueue(
        [
            draft_mail(kind="access-review", recipient=user.email, user=user, context=context)
            for user in reviewers
            if not is_placeholder(user.email)
        ]
    )
