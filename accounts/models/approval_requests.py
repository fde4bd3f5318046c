"""Acts on owners that wait until a second owner confirms them."""

from datetime import datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User
from core.uuid7 import uuid7


class ApprovalRequest(models.Model):
    """One act that an owner asked for, while TWO_PERSON_RULE is on.

    kind: of accounts.services.approvals.acts. target: None for an account that does not exist yet.
    parameters: what the service is called with, without secrets; see approvals.parameters. seen:
    what the page of the request shows of the target; the act is refused if it differs later.
    raises_power: the target gets more power, so they are not the one who confirms. reason: why it
    was not carried out, for people. Everything but the state stays as it was asked for.
    """

    class State(models.TextChoices):
        OPEN = "open", _("open")
        CONFIRMED = "confirmed", _("confirmed")
        DECLINED = "declined", _("declined")
        WITHDRAWN = "withdrawn", _("withdrawn")
        REFUSED = "refused", _("not carried out")
        EXPIRED = "expired", _("expired")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=40)
    target = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="approvals_about"
    )
    parameters = models.JSONField(default=dict)
    seen = models.JSONField(default=dict)
    raises_power = models.BooleanField(default=False)
    asked_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="approvals_asked"
    )
    asked_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    decided_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="approvals_decided"
    )
    decided_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = _("request for a second owner")
        verbose_name_plural = _("requests for a second owner")
        indexes = [
            models.Index(
                fields=["expires_at"], name="approval_open", condition=models.Q(state="open")
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    def state_now(self, now: datetime) -> str:
        """The state; an open request that has passed its end counts as expired at once."""
        is_over = self.state == self.State.OPEN and self.expires_at <= now
        return self.State.EXPIRED if is_over else self.State(self.state)
