"""The worker's job that sends the log to a syslog receiver: in order, each event at least once.

The position moves only after a batch has arrived. A failure leaves it where it is, and the same
events are sent again later, so no event is left out however long the receiver is away.
"""

import logging
import time

from django.conf import settings

from audit import destinations, syslog
from audit.models import AuditDestination, AuditEvent

logger = logging.getLogger("gatehouse.audit")
BATCH = 200
# The maximum time of a run, after the batch in which it ends; the next run continues.
RUN_SECONDS = 20.0


def send_due() -> int:
    """Worker job: send the events that have not arrived; returns how many have. One query idle."""
    sent = 0
    if not settings.AUDIT_SYSLOG:
        return sent
    end = time.monotonic() + RUN_SECONDS
    while count := _send_batch():
        sent += count
        if time.monotonic() >= end:
            break
    return sent


def _send_batch() -> int:
    head = destinations.head_seq()
    if AuditDestination.objects.filter(pk=destinations.SYSLOG, seq=head).exists():
        return 0
    row = destinations.claim(destinations.SYSLOG)
    if row is None:
        return 0
    if row.seq > head:
        logger.error("the audit log is shorter than what was sent", extra={"count": row.seq - head})
        row.seq = head
    found = list(AuditEvent.objects.filter(seq__gt=row.seq).order_by("seq")[:BATCH])
    if not found:
        destinations.note_success(row, row.seq)
        return 0
    try:
        syslog.send(found, settings.AUDIT_SYSLOG)
    except (OSError, UnicodeError) as error:
        reason = str(error) or type(error).__name__
        logger.warning("audit events were not sent", extra={"reason": reason})
        destinations.note_failure(row, reason)
        return 0
    destinations.note_success(row, found[-1].seq)
    return len(found)
