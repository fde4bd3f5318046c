"""Actions for the processes of a race. Imported after django.setup()."""

from contextlib import suppress
from datetime import timedelta

from django.utils import timezone

from access_reviews.models import AccessReview, ReviewItem
from access_reviews.scopes import access_of
from access_reviews.services.decisions import Removal, confirm, take_away
from access_reviews.services.due import handle_due_reviews, send_review_reminders
from access_reviews.services.reviews import ReviewRequest, start_review
from accounts.models import User
from audit import audit_log
from audit.models import AuditEvent
from core.errors import GatehouseError
from mail.models import OutboxMail
from tests.accounts.race_actions import clear_instance


def new_review() -> None:
    """Two owners who review, an editor, and a review of all of them."""
    AccessReview.objects.all().delete()
    clear_instance()
    OutboxMail.objects.all().delete()
    owners = [User.objects.create(email=f"{name}@example.com", role="owner") for name in "ab"]
    User.objects.create(email="editor@example.com", role="editor")
    wanted = ReviewRequest(
        "Quarter",
        timezone.now() + timedelta(days=14),
        reviewers=[user.pk for user in owners],
        disable_undecided=True,
    )
    start_review(actor=owners[0], wanted=wanted)


def overdue_review() -> None:
    """Its due date has passed."""
    new_review()
    AccessReview.objects.update(due_at=timezone.now() - timedelta(minutes=1))
    OutboxMail.objects.all().delete()


def decide(place: int) -> None:
    """Half of the reviewers confirm the editor, and half take the role away, all at once."""
    editor = User.objects.get(email="editor@example.com")
    item = ReviewItem.objects.get(user_id=editor.pk)
    owner = User.objects.get(email="a@example.com" if place % 2 else "b@example.com")
    seen = access_of([editor])[editor.pk].fingerprint
    with suppress(GatehouseError):
        if place % 2:
            confirm(actor=owner, item=item, seen=seen, note=str(place))
        else:
            removal = Removal(role="viewer")
            take_away(actor=owner, item=item, seen=seen, removal=removal, note=str(place))


def decide_both(place: int) -> None:
    """Each owner disables the other: one must stay."""
    first, second = (User.objects.get(email=f"{name}@example.com") for name in "ab")
    actor, user = (first, second) if place % 2 else (second, first)
    item = ReviewItem.objects.get(user_id=user.pk)
    seen = access_of([user])[user.pk].fingerprint
    with suppress(GatehouseError):
        take_away(actor=actor, item=item, seen=seen, removal=Removal(disable=True))


def pass_the_date(_place: int) -> None:
    send_review_reminders()
    handle_due_reviews()


def count_decisions() -> tuple[int, int, bool, bool]:
    """(decisions, effects, does the decision fit the role, is the audit log whole)."""
    editor = User.objects.get(email="editor@example.com")
    item = ReviewItem.objects.get(user_id=editor.pk)
    decided = AuditEvent.objects.filter(action__startswith="review:item:").count()
    effects = AuditEvent.objects.filter(action="account:role:change").count()
    taken = item.decision == "taken-away"
    fits = (editor.role == "viewer") == taken and effects == int(taken)
    fits = fits and item.decision in ("confirmed", "taken-away")
    return decided, int(effects <= 1), fits, audit_log.verify().broken_at is None


def count_owners() -> tuple[int, int]:
    """(active owners, decisions)."""
    decided = ReviewItem.objects.filter(decision="taken-away").count()
    return User.objects.filter(role="owner", is_active=True).count(), decided


def count_disabled() -> tuple[int, int, int, int]:
    """(disabled accounts, audit rows of it, closed reviews, mails)."""
    events = AuditEvent.objects.filter(action="account:user:disable").count()
    closed = AuditEvent.objects.filter(action="review:access:close").count()
    disabled = User.objects.filter(is_active=False).count()
    return disabled, events, closed, OutboxMail.objects.count()
