"""Writes anchors: the job of the worker, and at will."""

import logging
from pathlib import Path

from django.conf import settings

from audit import anchors, destinations
from audit.models import AuditEvent

logger = logging.getLogger("gatehouse.audit")


def anchor_when_due() -> int:
    """Worker job: write an anchor each AUDIT_ANCHOR_EVERY, if there are new events.

    Of all processes one does. Returns how many were written.
    """
    if not settings.AUDIT_ANCHOR:
        return 0
    row = destinations.claim(destinations.ANCHOR)
    if row is None:
        return 0
    found = anchors.current_anchor()
    if found.seq == row.seq:
        destinations.release(row, wait=settings.AUDIT_ANCHOR_EVERY)
        return 0
    try:
        anchors.write(found)
    except anchors.AnchorError as error:
        logger.warning("the audit log was not anchored", extra={"reason": error.message})
        destinations.note_failure(row, error.message)
        return 0
    destinations.note_success(row, found.seq, wait=settings.AUDIT_ANCHOR_EVERY)
    return 1


def newest_readable() -> anchors.Anchor | None:
    """The last anchor in the file AUDIT_ANCHOR; None without a file that this process can read."""
    path = settings.AUDIT_ANCHOR
    return anchors.newest_in_file(Path(path)) if path.startswith("/") else None


def contradicts(anchor: anchors.Anchor) -> bool:
    """Whether the log does not have the anchored event with this hash. One query."""
    return not AuditEvent.objects.filter(seq=anchor.seq, hash=anchor.hash).exists()
