"""The outbox."""

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.uuid7 import uuid7


class OutboxMail(models.Model):
    """A mail in the outbox. The body is encrypted, and deleted when the mail is sent."""

    class Status(models.TextChoices):
        QUEUED = "queued", _("Queued")
        SENDING = "sending", _("Sending")
        WAITING = "waiting", _("Waiting: no mail service")
        SENT = "sent", _("Sent")
        DEAD = "dead", _("Failed")
        EXPIRED = "expired", _("Expired")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="mails"
    )
    recipient = models.EmailField(_("to"), max_length=254)
    kind = models.CharField(_("kind"), max_length=32)
    subject = models.CharField(_("subject"), max_length=200)
    sealed_body = models.TextField(blank=True, editable=False)
    status = models.CharField(
        _("status"), max_length=8, choices=Status.choices, default=Status.QUEUED
    )
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), default=timezone.now)
    # A process that dies while sending leaves SENDING; after this time another may take the mail.
    lease_until = models.DateTimeField(null=True, blank=True)
    # The end of the link in the mail.
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    last_error = models.CharField(_("last error"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)

    class Meta:
        verbose_name = _("mail")
        verbose_name_plural = _("mails")
        indexes = [
            models.Index(fields=["status", "next_attempt_at"], name="outbox_due"),
            models.Index(fields=["created_at"], name="outbox_created"),
            models.Index(fields=["sent_at"], name="outbox_sent"),
        ]

    def __str__(self) -> str:
        return f"{self.recipient}: {self.subject}"
