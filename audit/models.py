"""The table of the audit log."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _


class AuditEvent(models.Model):
    """Who did what to whom, when, from where. Append-only; each row holds the previous hash."""

    seq = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(_("when"))
    action = models.CharField(_("action"), max_length=64)
    result = models.CharField(_("result"), max_length=8, default="success")
    # Ids, not foreign keys or addresses: rows outlive the account, and then identify no one.
    actor_id = models.UUIDField(_("actor"), null=True)
    target_id = models.UUIDField(_("target"), null=True)
    channel = models.CharField(_("channel"), max_length=8)
    ip = models.CharField(_("address"), max_length=45, blank=True)
    request_id = models.CharField(_("request id"), max_length=64, blank=True)
    detail = models.JSONField(_("detail"), default=dict)
    # The event that this one takes back (see accounts.services.undo); each is taken back once.
    undoes = models.BigIntegerField(_("takes back"), null=True)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)
    # The actor as loaded when the request was authenticated; not stored. See audit_log.append().
    acting: Any = None

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit log")
        indexes = [
            models.Index(fields=["target_id", "-seq"], name="audit_target"),
            models.Index(fields=["actor_id", "-seq"], name="audit_actor"),
            models.Index(fields=["action", "-seq"], name="audit_action"),
            models.Index(fields=["at"], name="audit_at"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["undoes"],
                condition=models.Q(undoes__isnull=False),
                name="audit_undone_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.action}"
