"""Groups of people, and who is in them."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.group_names import MAX_NAME_LENGTH
from accounts.models.users import User
from core.uuid7 import uuid7

# The source of what an administrator did. See Membership.
MANUAL = "manual"
DIRECTORY = "directory"
MAX_LABEL_LENGTH, MAX_DESCRIPTION_LENGTH = 80, 300


class Group(models.Model):
    """A group. Rules name it by its id; apps read its name in a header or a token.

    name: see accounts.group_names. An empty label: the name is shown.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(_("name"), max_length=MAX_NAME_LENGTH, unique=True)
    label = models.CharField(_("label"), max_length=MAX_LABEL_LENGTH, blank=True)
    description = models.CharField(_("description"), max_length=MAX_DESCRIPTION_LENGTH, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("group")
        verbose_name_plural = _("groups")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(name=Lower("name")), name="group_name_is_lower_case"
            )
        ]

    def __str__(self) -> str:
        return self.label or self.name


class MembershipQuerySet(models.QuerySet["Membership"]):
    """Named filters."""

    def current(self, now: datetime) -> Self:
        """Those that count: without an end, or with one that has not come."""
        return self.filter(models.Q(until=None) | models.Q(until__gt=now))

    def ended(self, now: datetime) -> Self:
        """Those whose end has passed and is not written down yet."""
        return self.filter(until__lte=now)


class Membership(models.Model):
    """Why a person is in a group: one row for each source that says so.

    source: `manual`, `directory`, `provider:<id>`, or `scim`. A sign-in changes the rows of its own
    source only. until: counts until then, which each reader computes; the worker deletes the row
    later.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="memberships")
    source = models.CharField(_("by"), max_length=80, default=MANUAL)
    until = models.DateTimeField(_("until"), null=True, blank=True)
    added_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    added_at = models.DateTimeField(_("since"), default=timezone.now, editable=False)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.UniqueConstraint(fields=["user", "group", "source"], name="membership_is_unique")
        ]
        indexes = [
            models.Index(
                fields=["until"],
                condition=models.Q(until__isnull=False),
                name="membership_until",
            )
        ]

    def __str__(self) -> str:
        return str(self.pk)


class DeletedGroup(models.Model):
    """Who was in a deleted group, so that the deletion can be undone. Without names.

    It is deleted after settings.UNDO_WINDOW. members: {"user", "source", "until"} each.
    """

    # The id that the group had.
    id = models.UUIDField(primary_key=True)
    members = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("deleted group")
        verbose_name_plural = _("deleted groups")

    def __str__(self) -> str:
        return str(self.pk)
