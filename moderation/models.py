"""The tables of moderation: violations, scores of subjects, bans."""

from datetime import datetime
from typing import Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from core.uuid7 import uuid7


class BanQuerySet(models.QuerySet["Ban"]):
    """Named filters."""

    def active(self, now: datetime) -> Self:
        """Neither lifted nor expired. It compares with the clock, so no clean-up has to run."""
        return self.filter(Ban.states(now)["active"])


class Ban(models.Model):
    """One ban of a user, of a network, or of both, which is lifted as a whole."""

    class Kind(models.TextChoices):
        AUTOMATIC = "automatic", _("Automatic")
        MANUAL = "manual", _("By an administrator")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.CASCADE, related_name="bans"
    )
    # In the form of core.web.client_ip.network_key(): an IPv4 address, or an IPv6 /64. "" for none.
    network = models.CharField(_("network"), max_length=49, blank=True)
    kind = models.CharField(_("kind"), max_length=9, choices=Kind.choices)
    # Shown to the banned user.
    reason = models.CharField(_("reason"), max_length=200)
    created_at = models.DateTimeField(_("since"), default=timezone.now)
    # Null: until an administrator lifts it.
    until = models.DateTimeField(_("until"), null=True, blank=True)
    # The administrator; null for an automatic ban and for the command line.
    created_by = models.UUIDField(null=True, editable=False)
    lifted_at = models.DateTimeField(_("lifted"), null=True, blank=True)
    lifted_by = models.UUIDField(null=True, editable=False)

    objects = BanQuerySet.as_manager()

    class Meta:
        verbose_name = _("ban")
        verbose_name_plural = _("bans")
        indexes = [
            # Sign-ins and requests only look up bans that may be in force.
            models.Index(
                fields=["user", "until"], name="ban_of_user", condition=models.Q(lifted_at=None)
            ),
            models.Index(
                fields=["network", "until"],
                name="ban_of_network",
                condition=models.Q(lifted_at=None),
            ),
            models.Index(fields=["until"], name="ban_until"),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @staticmethod
    def states(now: datetime) -> dict[str, models.Q]:
        """The condition of each state()."""
        return {
            "active": models.Q(models.Q(until=None) | models.Q(until__gt=now), lifted_at=None),
            "lifted": models.Q(lifted_at__isnull=False),
            "over": models.Q(until__lte=now, lifted_at=None),
        }

    def state(self, now: datetime) -> str:
        """active, lifted or over."""
        if self.lifted_at:
            return "lifted"
        return "over" if self.until and self.until <= now else "active"


class Violation(models.Model):
    """One exceeded limit or reported violation, with the score that it added to its subject."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # login, registration, magic_link, reset_password, verify_email, message, concurrent,
    # non_browser, api, second_factor, or a type that an app reports.
    type = models.CharField(_("type"), max_length=40)
    score = models.FloatField(_("score"))
    # What it counts against: "user:<id>" if the user is known, else "network:<network>".
    subject = models.CharField(max_length=64)
    user = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.CASCADE, related_name="violations"
    )
    network = models.CharField(_("network"), max_length=49, blank=True)
    at = models.DateTimeField(_("when"), default=timezone.now)
    # For example "7 in 5m", as configured at that time.
    limit = models.CharField(_("limit"), max_length=40, blank=True)
    detail = models.JSONField(_("detail"), default=dict)
    # The subject's total, decayed to this moment, before and after.
    total_before = models.FloatField()
    total_after = models.FloatField(_("total"))
    # The ban that this violation caused.
    ban = models.ForeignKey(
        Ban, null=True, blank=True, on_delete=models.SET_NULL, related_name="violations"
    )
    # The account whose service key reported it; null for our own limits.
    reported_by = models.UUIDField(null=True, editable=False)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        verbose_name = _("violation")
        verbose_name_plural = _("violations")
        indexes = [
            models.Index(fields=["subject", "-id"], name="violation_subject"),
            models.Index(fields=["type", "-id"], name="violation_type"),
            models.Index(fields=["user", "-id"], name="violation_user"),
            models.Index(fields=["network", "-id"], name="violation_network"),
            models.Index(fields=["at"], name="violation_at"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"


class Score(models.Model):
    """The total of one subject at the time `at`; readers compute its decay since then.

    The row is also the subject's lock: totals are read and written under it, so that two concurrent
    violations never start from the same total.
    """

    subject = models.CharField(max_length=64, primary_key=True)
    total = models.FloatField(default=0.0)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["at"], name="score_at")]

    def __str__(self) -> str:
        return self.subject
