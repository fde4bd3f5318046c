"""The table of the audit log."""

from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

# Clocks of nodes differ, and what is recorded waits for its turn in the chain.
DISORDER = timedelta(hours=1)
LAST_SEQ = models.BigIntegerField.MAX_BIGINT
# What most events have. The indexes of these columns leave it out.
USUAL = {"result": "success", "channel": "web"}


def is_result(result: str) -> models.Q:
    """The events with this result, found by an index unless it is the usual one."""
    return _having("result", result)


def is_channel(channel: str) -> models.Q:
    """The events from this channel, found by an index unless it is the usual one."""
    return _having("channel", channel)


def near_period(after: datetime | None, before: datetime | None) -> models.Q:
    """The events of a period, and a few around it: bounds of `seq`, found by the index of `at`.

    In the order of `seq`, which lists have, the database then reads a page; with `at` alone it
    sorts the whole period. An event may be written up to DISORDER after one of a later time.
    """
    events, bounds = AuditEvent.objects.order_by("at"), models.Q()
    if after is not None:
        earlier = events.reverse().filter(at__lt=after - DISORDER).values("seq")[:1]
        bounds &= models.Q(seq__gt=Coalesce(models.Subquery(earlier), 0))
    if before is not None:
        later = events.filter(at__gte=before + DISORDER).values("seq")[:1]
        bounds &= models.Q(seq__lt=Coalesce(models.Subquery(later), LAST_SEQ))
    return bounds


def _having(column: str, value: str) -> models.Q:
    # Both databases use a partial index only if the query contains its condition.
    unusual = models.Q() if value == USUAL[column] else ~models.Q(**{column: USUAL[column]})
    return models.Q(**{column: value}) & unusual


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
    ip = models.CharField(_("network address"), max_length=45, blank=True)
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
            models.Index(fields=["ip", "-seq"], name="audit_ip"),
            models.Index(fields=["request_id"], name="audit_request"),
            # Few events have failed, and few come from elsewhere than the web.
            models.Index(
                fields=["result", "-seq"],
                condition=~models.Q(result=USUAL["result"]),
                name="audit_result",
            ),
            models.Index(
                fields=["channel", "-seq"],
                condition=~models.Q(channel=USUAL["channel"]),
                name="audit_channel",
            ),
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


class AuditDestination(models.Model):
    """How far the log has been sent to a destination outside; see audit.destinations."""

    name = models.CharField(max_length=16, primary_key=True)
    # The number of the last event that has arrived there.
    seq = models.BigIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=200, blank=True)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    lease_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name
