"""The due date: reminders, and what is disabled by itself."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from access_reviews.models import AccessReview, ReviewItem, ReviewReminder
from access_reviews.services.decisions import confirm
from access_reviews.services.due import handle_due_reviews, send_review_reminders
from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.users import change_role, delete_user
from audit.models import AuditEvent
from config import worker
from tests.access_reviews.conftest import StartReview, item_of, seen_of
from tests.conftest import MakeUser, text_of

pytestmark = pytest.mark.django_db
AtTime = Callable[[timedelta], datetime]


def subjects(mails: Any) -> list[tuple[str, str]]:
    return [(mail.recipient, mail.subject) for mail in mails()]


def decisions(review: AccessReview) -> dict[str, str]:
    users = User.objects.in_bulk()
    return {users[item.user_id].email: item.decision for item in review.items.all()}


def test_reviewers_are_reminded_seven_days_and_one_day_before_and_when_it_is_over(
    owner: User, viewer: User, start: StartReview, mails: Any, at_time: AtTime
) -> None:
    start(owner, name="Q4")
    sent = []
    for days in (6, 8, 8, 12, 13.5, 13.6, 15, 16):
        at_time(timedelta(days=days))
        send_review_reminders()
        sent.append(len(mails()))

    assert sent == [0, 1, 1, 1, 2, 2, 3, 3]
    assert subjects(mails) == [
        (owner.email, "Access review is due soon: Q4"),
        (owner.email, "Access review is due soon: Q4"),
        (owner.email, "Access review is overdue: Q4"),
    ]
    assert "/admin/access_reviews/accessreview/" in text_of(mails()[0])


def test_a_reminder_that_was_missed_is_not_sent_after_a_nearer_one(
    owner: User, viewer: User, start: StartReview, mails: Any, at_time: AtTime
) -> None:
    start(owner)
    at_time(timedelta(days=20))

    assert [send_review_reminders(), send_review_reminders()] == [1, 0]
    assert len(mails()) == 1
    assert sorted(ReviewReminder.objects.values_list("days", flat=True)) == [0, 1, 7]


def test_a_review_that_is_due_soon_is_not_reminded_of_at_once(
    owner: User, admin: User, start: StartReview, mails: Any, at_time: AtTime
) -> None:
    start(owner, admin, due_at=at_time(timedelta()) + timedelta(days=2))

    assert send_review_reminders() == 0
    assert [mail.subject for mail in mails()] == ["Please review access: Quarter"]


def test_closed_reviews_and_reviewers_without_the_role_get_no_reminder(
    owner: User, admin: User, viewer: User, start: StartReview, mails: Any, at_time: AtTime
) -> None:
    start(owner, owner, admin)
    change_role(actor=owner, user=admin, role="viewer")
    before = len(mails())
    at_time(timedelta(days=15))

    send_review_reminders()

    assert [mail.recipient for mail in mails()[before:]] == [owner.email]


def test_nothing_is_taken_away_at_the_due_date_unless_it_was_chosen(
    owner: User, viewer: User, start: StartReview, at_time: AtTime
) -> None:
    review = start(owner)
    at_time(timedelta(days=400))

    assert handle_due_reviews() == 0

    assert set(decisions(review).values()) == {"open"}
    assert User.objects.filter(is_active=True).count() == 2


def test_undecided_accounts_are_disabled_at_the_due_date_but_never_owners(
    owner: User, make_user: MakeUser, admin: User, editor: User, viewer: User,
    start: StartReview, at_time: AtTime,
) -> None:  # fmt: skip
    other = make_user("owner", "second@example.com")
    review = start(owner, disable_undecided=True)
    confirm(actor=owner, item=item_of(review, editor), seen=seen_of(editor))
    at_time(timedelta(days=13.9))
    assert handle_due_reviews() == 0
    at_time(timedelta(days=14.1))

    handle_due_reviews()

    assert decisions(review) == {
        owner.email: "kept",
        other.email: "kept",
        admin.email: "disabled",
        editor.email: "confirmed",
        viewer.email: "disabled",
    }
    active = set(User.objects.filter(is_active=True).values_list("email", flat=True))
    assert active == {owner.email, other.email, editor.email}
    review.refresh_from_db()
    assert (review.is_open, review.left_undecided) == (False, 2)
    event = AuditEvent.objects.filter(action="account:user:disable").latest("seq")
    assert (event.actor_id, event.detail["reason"]) == (owner.pk, "access review")
    assert handle_due_reviews() == 0


def test_an_admins_review_disables_no_one_of_their_rank(
    owner: User, admin: User, make_user: MakeUser, viewer: User, start: StartReview, at_time: AtTime
) -> None:
    other = make_user("admin", "rival@example.com")
    review = start(admin, disable_undecided=True)
    at_time(timedelta(days=15))

    handle_due_reviews()

    assert decisions(review) == {
        owner.email: "kept",
        admin.email: "kept",
        other.email: "kept",
        viewer.email: "disabled",
    }
    assert User.objects.get(pk=other.pk).is_active


@pytest.mark.parametrize("fate", ["demoted", "deleted"])
def test_a_review_of_someone_who_lost_their_role_disables_no_one(
    owner: User, admin: User, viewer: User, start: StartReview, at_time: AtTime, fate: str
) -> None:
    review = start(admin, disable_undecided=True)
    if fate == "demoted":
        change_role(actor=owner, user=admin, role="editor")
    else:
        delete_user(actor=owner, user=admin)
    at_time(timedelta(days=15))

    handle_due_reviews()

    assert User.objects.get(pk=viewer.pk).is_active
    assert item_of(review, viewer).decision == "kept"
    assert not AccessReview.objects.get().is_open


def test_a_review_of_the_command_line_disables_all_but_owners(
    owner: User, admin: User, start: StartReview, at_time: AtTime
) -> None:
    review = start(SYSTEM, owner, disable_undecided=True)
    at_time(timedelta(days=15))

    handle_due_reviews()

    assert decisions(review) == {owner.email: "kept", admin.email: "disabled"}


def test_a_review_whose_open_accounts_were_deleted_is_closed(
    owner: User, viewer: User, start: StartReview
) -> None:
    review = start(owner)
    confirm(actor=owner, item=item_of(review, owner), seen=seen_of(owner))
    delete_user(actor=owner, user=viewer)
    assert AccessReview.objects.get().is_open

    assert handle_due_reviews() == 1

    review.refresh_from_db()
    assert (review.is_open, review.left_undecided) == (False, 0)
    assert ReviewItem.objects.filter(decision="deleted").count() == 1


def test_the_worker_does_both() -> None:
    assert send_review_reminders in worker.REMIND_JOBS
    assert handle_due_reviews in worker.REMIND_JOBS
