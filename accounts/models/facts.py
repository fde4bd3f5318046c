"""Mail to send, the audit log, and the locks of the house."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.people import User
from accounts.uuids import uuid7


class OutboxMail(models.Model):
    """A mail on its way. The row is the queue; the body is sealed, and wiped when it is sent."""

    class Status(models.TextChoices):
        QUEUED = "queued", _("Queued")
        SENDING = "sending", _("Sending")
        WAITING = "waiting", _("Waiting: no mail service")
        SENT = "sent", _("Sent")
        DEAD = "dead", _("Given up")
        EXPIRED = "expired", _("Out of date")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="mails")
    recipient = models.EmailField(_("to"), max_length=254)
    kind = models.CharField(_("kind"), max_length=32)
    subject = models.CharField(_("subject"), max_length=200)
    sealed_body = models.TextField(blank=True, editable=False)
    status = models.CharField(
        _("status"), max_length=8, choices=Status.choices, default=Status.QUEUED
    )
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), default=timezone.now)
    # A sender that died leaves its row in SENDING; after this time another may take it.
    lease_until = models.DateTimeField(null=True, blank=True)
    # Mail that holds a link is worthless after the link's end.
    expires_at = models.DateTimeField(_("worthless after"), null=True, blank=True)
    last_error = models.CharField(_("last error"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)

    class Meta:
        verbose_name = _("mail")
        verbose_name_plural = _("mails")
        indexes = [
            models.Index(fields=["status", "next_attempt_at"], name="outbox_due"),
            models.Index(fields=["created_at"], name="outbox_created"),
        ]

    def __str__(self) -> str:
        return f"{self.recipient}: {self.subject}"


class AuditEvent(models.Model):
    """Who did what to whom, when, from where. Append-only; each row holds the previous hash."""

    seq = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(_("when"))
    action = models.CharField(_("action"), max_length=64)
    result = models.CharField(_("result"), max_length=8, default="success")
    # Ids, not foreign keys and not addresses: the log outlives the account and names nobody then.
    actor_id = models.UUIDField(_("actor"), null=True)
    target_id = models.UUIDField(_("target"), null=True)
    channel = models.CharField(_("channel"), max_length=8)
    ip = models.CharField(_("address"), max_length=45, blank=True)
    request_id = models.CharField(_("request id"), max_length=64, blank=True)
    detail = models.JSONField(_("detail"), default=dict)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)
    # The actor as they were when they were let in; not stored. See accounts.audit.append().
    acting: User | None = None

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit log")
        indexes = [
            models.Index(fields=["target_id", "-seq"], name="audit_target"),
            models.Index(fields=["actor_id", "-seq"], name="audit_actor"),
            models.Index(fields=["action", "-seq"], name="audit_action"),
            models.Index(fields=["at"], name="audit_at"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.action}"


class HouseLock(models.Model):
    """One row per thing of which there must be one writer: `roles`, and the audit chain's head.

    Locked with SELECT … FOR UPDATE on PostgreSQL; on SQLite every write transaction is IMMEDIATE
    and thereby already the only one.
    """

    name = models.CharField(max_length=32, primary_key=True)
    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return self.name
