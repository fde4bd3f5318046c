"""The tables of access reviews: what is reviewed, by whom, and what was decided.

No row holds a name or an address: people are ids, as in the audit log, so a deleted account leaves
nothing personal behind. See docs/decisions/0029-access-reviews.md.
"""

from datetime import datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access_reviews.access import Access
from accounts.group_names import MAX_NAME_LENGTH
from accounts.models import ROLE_LABELS, User
from core.uuid7 import uuid7

NAME_MAX_LENGTH, NOTE_MAX_LENGTH = 80, 500


class AccessReviewQuerySet(models.QuerySet["AccessReview"]):
    """Named filters."""

    def open(self) -> "AccessReviewQuerySet":
        """Reviews that are not closed."""
        return self.filter(closed_at=None)

    def due_before(self, end: datetime) -> "AccessReviewQuerySet":
        """Open reviews whose due date is before `end`, or has passed."""
        return self.open().filter(due_at__lt=end)


class AccessReview(models.Model):
    """One review: a list of accounts, made when it starts, to decide about by a date."""

    class Scope(models.TextChoices):
        ALL = "all", _("Everyone")
        ROLE = "role", _("A role and above")
        NO_SECOND_FACTOR = "no-second-factor", _("People without a second factor")
        UNUSED = "unused", _("Not signed in for 90 days")
        API_KEYS = "api-keys", _("Owners of API keys")
        GROUP = "group", _("Members of a group")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(_("name"), max_length=NAME_MAX_LENGTH)
    scope = models.CharField(_("who is reviewed"), max_length=16, choices=Scope.choices)
    # With the scope `role`; "" otherwise.
    min_role = models.CharField(_("role"), max_length=8, choices=ROLE_LABELS, blank=True)
    # With the scope `group`: its id, and its name then, which outlive the group.
    group_id = models.UUIDField(null=True, editable=False)
    group_name = models.CharField(max_length=MAX_NAME_LENGTH, blank=True, editable=False)
    due_at = models.DateTimeField(_("due"))
    # Accounts without a decision are disabled then, with the rights of who started the review.
    disable_undecided = models.BooleanField(_("disable undecided accounts"), default=False)
    # Ids of users; None for the command line.
    started_by = models.UUIDField(null=True, editable=False)
    created_at = models.DateTimeField(_("started"), default=timezone.now, editable=False)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    # None for the command line, and for a review that has closed by itself.
    closed_by = models.UUIDField(null=True, editable=False)
    close_reason = models.CharField(max_length=200, blank=True)
    # How many items had no decision when it was closed.
    left_undecided = models.PositiveIntegerField(null=True, editable=False)

    objects = AccessReviewQuerySet.as_manager()

    class Meta:
        verbose_name = _("access review")
        verbose_name_plural = _("access reviews")
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=models.Q(closed_at=None),
                name="access_review_open",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        """Whether decisions are still taken."""
        return self.closed_at is None

    def counts(self) -> tuple[int, int]:
        """How many items it has, and how many of them can still be decided; by one query."""
        rows = ReviewItem.objects.filter(review=self).order_by().values_list("decision")
        # By decision, because the index sorts them so; a condition would read each row.
        by_decision = dict(rows.annotate(number=models.Count("*")))
        undecided = sum(by_decision.get(decision, 0) for decision in UNDECIDED)
        return sum(by_decision.values()), undecided

    def undecided(self) -> "models.QuerySet[ReviewItem]":
        """Its items that can still be decided."""
        return ReviewItem.objects.filter(review=self, decision__in=UNDECIDED)

    def is_overdue(self, now: datetime) -> bool:
        """Whether the due date of an open review has passed."""
        return self.is_open and self.due_at <= now


class Reviewer(models.Model):
    """An administrator who is asked to decide, and is reminded."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    review = models.ForeignKey(AccessReview, on_delete=models.CASCADE, related_name="reviewers")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")

    class Meta:
        verbose_name = _("reviewer")
        verbose_name_plural = _("reviewers")
        constraints = [
            models.UniqueConstraint(fields=["review", "user"], name="access_reviewer_once")
        ]

    def __str__(self) -> str:
        return str(self.user_id)


class ReviewItem(models.Model):
    """One account of a review, with its access as it was last shown, and what was decided."""

    class Decision(models.TextChoices):
        OPEN = "open", _("Open")
        LATER = "later", _("Later")
        CONFIRMED = "confirmed", _("Confirmed")
        TAKEN_AWAY = "taken-away", _("Taken away")
        # By the due date, without a reviewer.
        DISABLED = "disabled", _("Disabled at the due date")
        KEPT = "kept", _("Not decided")
        DELETED = "deleted", _("Account deleted")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    review = models.ForeignKey(AccessReview, on_delete=models.CASCADE, related_name="items")
    # The id of the account; not a foreign key, because it outlives the account.
    user_id = models.UUIDField(editable=False)
    # The access when the review started; see access_reviews.access.Access.
    access = models.JSONField(default=dict, editable=False)
    # The access that was decided about, which may be another one; {} before that.
    access_decided = models.JSONField(default=dict, editable=False)
    decision = models.CharField(
        max_length=10, choices=Decision.choices, default=Decision.OPEN.value, editable=False
    )
    decided_by = models.UUIDField(null=True, editable=False)
    decided_at = models.DateTimeField(null=True, editable=False)
    note = models.CharField(max_length=NOTE_MAX_LENGTH, blank=True, editable=False)
    # What was taken away: role_before, role_after, disabled, keys (ids).
    effect = models.JSONField(default=dict, editable=False)

    class Meta:
        verbose_name = _("account of a review")
        verbose_name_plural = _("accounts of reviews")
        constraints = [
            models.UniqueConstraint(fields=["review", "user_id"], name="review_item_once")
        ]
        indexes = [
            models.Index(fields=["review", "decision", "id"], name="review_item_decision"),
            models.Index(fields=["user_id", "-id"], name="review_item_of_user"),
        ]

    def __str__(self) -> str:
        return str(self.user_id)

    @property
    def is_undecided(self) -> bool:
        """Whether it can still be decided."""
        return self.decision in UNDECIDED

    @property
    def first_access(self) -> Access:
        """The access when the review started."""
        return Access.from_json(self.access)

    @property
    def decided_access(self) -> Access:
        """The access that was decided about; that of the start before a decision."""
        return Access.from_json(self.access_decided or self.access)


UNDECIDED = (ReviewItem.Decision.OPEN.value, ReviewItem.Decision.LATER.value)


class ReviewReminder(models.Model):
    """A reminder that was mailed to the reviewers. days: before the due date; 0 when it is over."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    review = models.ForeignKey(AccessReview, on_delete=models.CASCADE, related_name="reminders")
    days = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("reminder of a review")
        verbose_name_plural = _("reminders of reviews")
        constraints = [
            models.UniqueConstraint(fields=["review", "days"], name="review_reminder_once")
        ]

    def __str__(self) -> str:
        return f"{self.review_id}, {self.days} days before"
