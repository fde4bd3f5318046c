"""Whether mail is failing now, for the alarms of administrators."""

from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.db.models import Q

from mail.models import OutboxMail
from mail.outbox import find_transport

Status = OutboxMail.Status


class Outage(NamedTuple):
    """since: when the first mail was written that could not be sent. reason: the latest error."""

    since: datetime
    reason: str


def current_outage() -> Outage | None:
    """The outage of the mail service; None if none is known.

    Mail is failing while no mail has been sent since a failing one was written. A mailbox that
    refuses its mail is no outage. One query on an index; three more while something fails.
    """
    is_failing = Q(status__in=[Status.QUEUED, Status.SENDING], attempts__gt=0) | Q(
        status=Status.DEAD, attempts__gte=settings.MAIL_MAX_ATTEMPTS
    )
    # Every page of the admin asks. Nearly all mails are sent, so only the index of the others is
    # read, and the order makes SQLite use it: exists() would read the whole table.
    open_mails = OutboxMail.objects.filter(
        status__in=[Status.QUEUED, Status.SENDING, Status.DEAD]
    ).order_by("status", "next_attempt_at")
    failing = open_mails.filter(is_failing).exclude(last_error="")
    if failing.values_list("pk").first() is None:
        return None
    failing = failing.order_by("created_at")
    sent = OutboxMail.objects.filter(sent_at__isnull=False).order_by("-sent_at")
    last_sent_at = sent.values_list("sent_at", flat=True).first()
    if last_sent_at is not None:
        failing = failing.filter(created_at__gt=last_sent_at)
    rows = failing.values_list("created_at", "last_error")
    first = rows.first()
    return None if first is None else Outage(first[0], (rows.last() or first)[1])


def will_be_sent() -> bool:
    """Whether a mail that is queued now can be expected to arrive."""
    return find_transport() is not None and current_outage() is None
