"""Starts and closes access reviews. Pages, the API and the command call these functions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from access_reviews.models import (
    NAME_MAX_LENGTH,
    AccessReview,
    Reviewer,
    ReviewItem,
    ReviewReminder,
)
from access_reviews.scopes import Scope, access_of, accounts_in_scope
from access_reviews.services.mails import tell_reviewers
from accounts import access_policy
from accounts.actors import Actor
from accounts.models import User
from accounts.roles import ADMIN_ROLES, Role
from accounts.services.groups.reading import find_group
from audit import audit_log
from core.errors import Forbidden, NotFound, RecordInvalid
from core.locks import ROLES, acquire_lock, lock_users

MAX_ITEMS, MAX_REVIEWERS = 20_000, 50
BATCH = 1000
REASON_MAX_LENGTH = 200
# Before the due date; 0 is when it has passed.
REMINDER_DAYS = (7, 1, 0)
# Reviewers get at least one reminder before accounts are disabled.
SHORTEST_BEFORE_DISABLING = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """The properties of a review to start. min_role: with the scope `role`. reviewers: ids.

    group: with the scope `group`, its name or id.
    """

    name: str
    due_at: datetime
    scope: str = Scope.ALL
    min_role: str = ""
    reviewers: Sequence[UUID] = ()
    disable_undecided: bool = False
    group: str = ""


def start_review(*, actor: Actor, wanted: ReviewRequest) -> AccessReview:
    """Make the list of a review from what holds now, and mail it to its reviewers.

    Raises Forbidden below admin; RecordInvalid with all errors. Writes one audit row.
    """
    if actor.role not in ADMIN_ROLES:
        raise Forbidden
    with transaction.atomic():
        lock_users(*wanted.reviewers)
        acquire_lock(ROLES)
        now = timezone.now()
        reviewers = possible_reviewers(wanted.reviewers)
        check_request(wanted, reviewers, now)
        group = find_group(wanted.group) if wanted.scope == Scope.GROUP else None
        review = AccessReview.objects.create(
            name=" ".join(wanted.name.split()),
            scope=wanted.scope,
            min_role=wanted.min_role if wanted.scope == Scope.ROLE else "",
            group_id=group.pk if group else None,
            group_name=group.name if group else "",
            due_at=wanted.due_at,
            disable_undecided=wanted.disable_undecided,
            started_by=actor.pk,
        )
        Reviewer.objects.bulk_create(Reviewer(review=review, user=user) for user in reviewers)
        count = _make_items(review, now)
        _skip_passed_reminders(review, now)
        tell_reviewers(
            review, [user for user in reviewers if user.pk != actor.pk], "started", count
        )
        audit_log.record(
            "review:access:start",
            actor=actor,
            target=review,
            name=review.name,
            scope=review.scope,
            **({"group": group.name} if group else {}),
            items=count,
            reviewers=len(reviewers),
            disable_undecided=review.disable_undecided,
        )
    return review


def check_request(wanted: ReviewRequest, reviewers: Sequence[User], now: datetime) -> None:
    """Raise RecordInvalid with all errors of a request. reviewers: those who can review."""
    errors: dict[str, list[str]] = {}
    name = " ".join(wanted.name.split())
    if not 1 <= len(name) <= NAME_MAX_LENGTH or not name.isprintable():
        text = _("Enter a name of 1 to %(number)d characters.")
        errors["name"] = [text % {"number": NAME_MAX_LENGTH}]
    if wanted.due_at <= now:
        errors["due_at"] = [_("Choose a time in the future.")]
    elif wanted.disable_undecided and wanted.due_at < now + SHORTEST_BEFORE_DISABLING:
        errors["due_at"] = [
            _("Choose a time at least one day away, because undecided accounts are disabled then.")
        ]
    errors |= _scope_errors(wanted)
    if problem := _reviewer_problem(wanted, reviewers):
        errors["reviewers"] = [problem]
    if errors:
        raise RecordInvalid(errors)


def _scope_errors(wanted: ReviewRequest) -> dict[str, list[str]]:
    if wanted.scope not in Scope.values:
        names = ", ".join(Scope.values)
        return {"scope": [_("Choose one of: %(names)s.") % {"names": names}]}
    if wanted.scope == Scope.ROLE and wanted.min_role not in list(Role):
        return {"min_role": [_("Choose the lowest role that is reviewed.")]}
    if wanted.scope == Scope.GROUP:
        try:
            find_group(wanted.group)
        except NotFound:
            return {"group": [_("Choose the group whose members are reviewed.")]}
    return {}


def _reviewer_problem(wanted: ReviewRequest, reviewers: Sequence[User]) -> str:
    if not wanted.reviewers:
        return _("Choose at least one reviewer.")
    if len(wanted.reviewers) > MAX_REVIEWERS:
        return _("At most %(number)d reviewers, please.") % {"number": MAX_REVIEWERS}
    if len(reviewers) < len(set(wanted.reviewers)):
        return _("Reviewers are administrators and owners who can sign in.")
    return ""


def possible_reviewers(keys: Iterable[UUID] | None = None) -> list[User]:
    """Administrators and owners who may act now, oldest first; those of `keys` if it is given."""
    found = User.objects.people().filter(is_active=True)
    # The stored role may have ended, and the following one may be an administrator's.
    found = found.filter(role__in=ADMIN_ROLES) if keys is None else found.filter(pk__in=list(keys))
    users = found.order_by("pk")
    return [user for user in users if user.role in ADMIN_ROLES and access_policy.may_act(user)]


def _make_items(review: AccessReview, now: datetime) -> int:
    """One item for each account of the scope; returns how many. Raises RecordInvalid."""
    users = list(accounts_in_scope(review.scope, review.min_role, now, review.group_id))
    if not users:
        raise RecordInvalid({"scope": [_("No account that can sign in is in this scope now.")]})
    if len(users) > MAX_ITEMS:
        text = _("More than %(number)d accounts are in this scope. Choose a narrower one.")
        raise RecordInvalid({"scope": [text % {"number": MAX_ITEMS}]})
    for start in range(0, len(users), BATCH):
        found = access_of(users[start : start + BATCH])
        ReviewItem.objects.bulk_create(
            ReviewItem(review=review, user_id=key, access=access.as_json())
            for key, access in found.items()
        )
    return len(users)


def _skip_passed_reminders(review: AccessReview, now: datetime) -> None:
    """Reviewers have just been told: note the reminders whose time has passed."""
    passed = [days for days in REMINDER_DAYS if review.due_at - timedelta(days=days) <= now]
    ReviewReminder.objects.bulk_create(ReviewReminder(review=review, days=days) for days in passed)


def may_decide(actor: Actor, review: AccessReview) -> bool:
    """Whether `actor` decides about items of this review: its reviewers, and every owner."""
    if actor.role == Role.OWNER:
        return True
    if actor.role not in ADMIN_ROLES or actor.pk is None:
        return False
    return review.reviewers.filter(user_id=actor.pk).exists()


def may_close(actor: Actor, review: AccessReview) -> bool:
    """Whether `actor` may close the review by hand: who decides, and who started it."""
    is_starter = actor.role in ADMIN_ROLES and review.started_by == actor.pk
    return is_starter or may_decide(actor, review)


def close_review(*, actor: Actor, review: AccessReview, reason: str) -> AccessReview:
    """Close a review by hand; items without a decision stay undecided, and nothing changes.

    Raises Forbidden, and RecordInvalid without a reason or for a closed review.
    """
    reason = " ".join(reason.split())
    if not reason or len(reason) > REASON_MAX_LENGTH:
        text = _("Give a reason of 1 to %(number)d characters.") % {"number": REASON_MAX_LENGTH}
        raise RecordInvalid({"reason": [text]})
    with transaction.atomic():
        current = lock_review(review)
        if not may_close(actor, current):
            raise Forbidden(_("Only reviewers, owners and who started it may close a review."))
        if not current.is_open:
            raise RecordInvalid({"review": [_("This review is closed.")]})
        finish(current, actor=actor, reason=reason)
    return current


def lock_review(review: AccessReview) -> AccessReview:
    """The current row, under the lock of roles, which all changes of reviews hold."""
    acquire_lock(ROLES)
    return AccessReview.objects.get(pk=review.pk)


def finish(review: AccessReview, *, actor: Actor | None, reason: str = "") -> None:
    """Write that an open review is closed, under the lock of roles, and its audit row."""
    review.closed_at = timezone.now()
    review.closed_by = actor.pk if actor is not None and reason else None
    review.close_reason = reason
    review.left_undecided = review.items.filter(decision__in=UNDECIDED_AT_THE_END).count()
    review.save(update_fields=["closed_at", "closed_by", "close_reason", "left_undecided"])
    audit_log.record(
        "review:access:close",
        actor=actor,
        target=review,
        name=review.name,
        undecided=review.left_undecided,
        **({"reason": reason} if reason else {}),
    )


def finish_if_decided(review: AccessReview, *, actor: Actor | None) -> bool:
    """Close an open review whose items are all decided; returns whether it did."""
    if not review.is_open or review.undecided().exists():
        return False
    finish(review, actor=actor)
    return True


UNDECIDED_AT_THE_END = (
    ReviewItem.Decision.OPEN,
    ReviewItem.Decision.LATER,
    ReviewItem.Decision.KEPT,
)
