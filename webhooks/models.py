"""The tables of webhooks: endpoints, their deliveries, and which notices administrators get."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.uuid7 import uuid7

URL_MAX_LENGTH, NAME_MAX_LENGTH, RESPONSE_MAX_LENGTH = 500, 80, 2000


class WebhookEndpoint(models.Model):
    """A URL of another system that gets events. The secret is encrypted, bound to the row."""

    class DisabledReason(models.TextChoices):
        BY_HAND = "by_hand", _("Disabled by an administrator")
        GONE = "gone", _("The receiver answered 410 Gone")
        FAILING = "failing", _("All deliveries failed for five days")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(_("name"), max_length=NAME_MAX_LENGTH)
    url = models.CharField(_("URL"), max_length=URL_MAX_LENGTH)
    # Names of webhooks.events; empty: every type.
    event_types = models.JSONField(_("events"), default=list, blank=True)
    is_enabled = models.BooleanField(_("enabled"), default=True)
    disabled_reason = models.CharField(
        _("disabled because"), max_length=8, blank=True, choices=DisabledReason.choices
    )
    sealed_secret = models.TextField(editable=False)
    # Until then deliveries are signed with the secret before the last rotation as well.
    sealed_previous_secret = models.TextField(blank=True, editable=False)
    previous_secret_until = models.DateTimeField(null=True, blank=True, editable=False)
    # The last event of the audit log that was looked at for this endpoint.
    cursor = models.BigIntegerField(default=0, editable=False)
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True)
    # After a failure, other deliveries wait as well: a receiver that hangs delays no one else.
    paused_until = models.DateTimeField(null=True, blank=True, editable=False)
    last_success_at = models.DateTimeField(_("last success"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        ordering = ("name", "id")

    def __str__(self) -> str:
        return self.name

    def has_previous_secret(self, now: datetime) -> bool:
        """Whether deliveries carry a second signature."""
        until = self.previous_secret_until
        return bool(self.sealed_previous_secret) and until is not None and now < until


class WebhookDelivery(models.Model):
    """One event for one endpoint, with the outcome of the last attempt; see core.queue."""

    class Status(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        SENDING = "sending", _("Sending")
        DELIVERED = "done", _("Delivered")
        FAILED = "failed", _("Given up")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    endpoint = models.ForeignKey(
        WebhookEndpoint,
        on_delete=models.CASCADE,
        related_name="deliveries",
        verbose_name=_("webhook"),
    )
    # The header webhook-id: the same for every endpoint and attempt.
    event_id = models.CharField(_("id of the event"), max_length=40)
    event_type = models.CharField(_("type"), max_length=40)
    # The body that is signed and sent. Erased with the account that it is about.
    payload = models.TextField(editable=False)
    # An id, not a foreign key, as in the audit log.
    user_id = models.UUIDField(null=True, editable=False)
    status = models.CharField(
        _("status"), max_length=8, choices=Status.choices, default=Status.QUEUED
    )
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), default=timezone.now)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    response_status = models.PositiveSmallIntegerField(_("status of the answer"), null=True)
    # The beginning of the answer, as text for administrators.
    response = models.CharField(_("answer"), max_length=RESPONSE_MAX_LENGTH, blank=True)
    last_error = models.CharField(_("last error"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    delivered_at = models.DateTimeField(_("delivered"), null=True, blank=True)

    class Meta:
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        indexes = [
            models.Index(fields=["status", "next_attempt_at"], name="webhook_due"),
            models.Index(fields=["endpoint", "-id"], name="webhook_endpoint_log"),
            models.Index(fields=["created_at"], name="webhook_created"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.event_id}"


class NoticeChoice(models.Model):
    """Which notices an administrator gets by mail, and what was sent already."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        primary_key=True,
        on_delete=models.CASCADE,
        related_name="notice_choice",
    )
    # Names of webhooks.notice_groups.
    groups = models.JSONField(_("notices"), default=list, blank=True)
    # That of the page on which they chose; "" for LANGUAGE_CODE.
    language = models.CharField(max_length=8, blank=True, editable=False)
    # The last event of the audit log that was looked at for this administrator.
    cursor = models.BigIntegerField(default=0, editable=False)
    last_mail_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("choice of notices")
        verbose_name_plural = _("choices of notices")

    def __str__(self) -> str:
        return str(self.pk)
