"""Reminders that an access ends, so that each is mailed once."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User
from core.uuid7 import uuid7


class EndReminder(models.Model):
    """One reminder of one end: mailed, or skipped because the end was set after its time.

    Another end of the same access has reminders of its own.
    """

    class Subject(models.TextChoices):
        ACCOUNT = "account", _("account")
        ROLE = "role", _("role")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="end_reminders")
    subject = models.CharField(max_length=8, choices=Subject.choices)
    ends_at = models.DateTimeField()
    days = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("reminder of an end")
        verbose_name_plural = _("reminders of ends")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "subject", "ends_at", "days"], name="end_reminder_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.subject} of {self.user_id}, {self.days} days before"
