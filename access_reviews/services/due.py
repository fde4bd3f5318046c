"""Work of the worker: reminds reviewers, and handles reviews whose due date has passed."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from access_reviews.models import UNDECIDED, AccessReview, ReviewItem, ReviewReminder
from access_reviews.scopes import access_of
from access_reviews.services.decisions import REASON, save_decision
from access_reviews.services.mails import tell_reviewers
from access_reviews.services.reviews import (
    REMINDER_DAYS,
    finish_if_decided,
    lock_review,
    possible_reviewers,
)
from accounts import access_policy
from accounts.actors import SYSTEM, Actor
from accounts.models import User
from accounts.roles import ADMIN_ROLES, Role
from accounts.services.users import disable_user, lock_account
from core.errors import GatehouseError, RecordInvalid
from core.locks import ROLES, acquire_lock, lock_users

# Accounts in one run; the next one takes the rest.
BATCH = 1000


def send_review_reminders() -> int:
    """Worker job: mail the reviewers 7 days and 1 day before the due date, and when it has passed.

    Returns how many reminders were sent. Each is sent once: its row is written in the transaction
    of the mails.
    """
    return sum(_remind(review) for review in AccessReview.objects.due_before(_horizon()))


def _horizon() -> datetime:
    return timezone.now() + timedelta(days=max(REMINDER_DAYS))


def _remind(review: AccessReview) -> int:
    """Send the nearest reminder that is due and not noted; notes those before it, too."""
    now = timezone.now()
    due = [days for days in REMINDER_DAYS if review.due_at - timedelta(days=days) <= now]
    if not due or review.reminders.filter(days=min(due)).exists():
        return 0
    keys = list(review.reviewers.values_list("user_id", flat=True))
    with transaction.atomic():
        lock_users(*keys)
        current = lock_review(review)
        undecided = current.undecided().count()
        # Again, because another process may have sent it meanwhile.
        if not current.is_open or current.reminders.filter(days=min(due)).exists():
            return 0
        ReviewReminder.objects.bulk_create(
            [ReviewReminder(review=current, days=days) for days in due], ignore_conflicts=True
        )
        if undecided:
            phase = "soon" if min(due) else "overdue"
            tell_reviewers(current, possible_reviewers(keys), phase, undecided)
    return 1


def handle_due_reviews() -> int:
    """Worker job: disable undecided accounts where a review says so, and close what is decided.

    Returns how many items and reviews were handled. Owners are never disabled, nor is anyone whom
    the administrator who started the review may not manage any more.
    """
    now, handled = timezone.now(), 0
    for review in AccessReview.objects.open():
        if review.disable_undecided and review.due_at <= now:
            handled += _settle_undecided(review)
        handled += _close(review)
    return handled


def _settle_undecided(review: AccessReview) -> int:
    keys = review.undecided().values_list("pk", flat=True)[:BATCH]
    return sum(_settle(key) for key in list(keys))


def _settle(key: UUID) -> int:
    """Disable the account of an item, or note that it stays; each item is handled once."""
    item = ReviewItem.objects.get(pk=key)
    try:
        with transaction.atomic():
            user = lock_account(User(pk=item.user_id))
            current = ReviewItem.objects.select_related("review").get(pk=key)
            if not current.is_undecided or not current.review.is_open:
                return 0
            effect = {"disabled": True, "role_before": user.role, "keys": []}
            present = access_of([user])[user.pk]
            save_decision(current, None, ReviewItem.Decision.DISABLED, present, effect=effect)
            disable_user(actor=_starter(current.review, user), user=user, reason=REASON)
    except GatehouseError:
        return _keep(item)
    return 1


def _starter(review: AccessReview, user: User) -> Actor:
    """With whose rights `user` is disabled. Raises RecordInvalid if no one may do it.

    Otherwise an administrator could have others of their rank disabled by a review.
    """
    if user.role == Role.OWNER:
        raise RecordInvalid({"user": []})
    if review.started_by is None:
        return SYSTEM
    starter: User | None = User.objects.filter(pk=review.started_by).first()
    if starter is None or starter.role not in ADMIN_ROLES or not access_policy.may_act(starter):
        raise RecordInvalid({"user": []})
    return starter


def _keep(item: ReviewItem) -> int:
    with transaction.atomic():
        acquire_lock(ROLES)
        rows = ReviewItem.objects.filter(pk=item.pk, decision__in=UNDECIDED)
        return rows.update(decision=ReviewItem.Decision.KEPT, decided_at=timezone.now())


def _close(review: AccessReview) -> int:
    if review.undecided().exists():
        return 0
    with transaction.atomic():
        return int(finish_if_decided(lock_review(review), actor=SYSTEM))
