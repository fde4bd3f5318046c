"""Reads the audit log for other systems: one JSON object a line, in the order of the numbers.

An event is visible once its transaction has ended, and numbers have no gaps (see audit_log). So
whoever remembers the last number can read on from there and misses nothing.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from audit import audit_log
from audit.models import AuditEvent, near_period
from core.errors import GatehouseError

BATCH = 500
FOLLOW_SECONDS = 2.0
# A line is shorter: the details of an event are bounded.
TAIL_BYTES = 1024 * 1024


class ExportError(GatehouseError):
    """An export cannot be continued; the text says why."""


def as_line(event: AuditEvent) -> str:
    """The event as one line of ASCII, without the end of the line.

    Its fields are those that the hash covers, and `hash`: a reader can verify the chain.
    """
    return line_of(audit_log.event_content(event) | {"hash": event.hash})


def line_of(content: Mapping[str, Any]) -> str:
    """An object as one line of ASCII."""
    return json.dumps(content, separators=(",", ":"))


def events_after(seq: int) -> Iterator[AuditEvent]:
    """The events with a greater number, oldest first, up to the newest at the end."""
    while found := list(AuditEvent.objects.filter(seq__gt=seq).order_by("seq")[:BATCH]):
        yield from found
        seq = found[-1].seq


def follow(seq: int, wait: Callable[[float], object] = time.sleep) -> Iterator[AuditEvent]:
    """As events_after(), and then each new event, without end."""
    while True:
        for event in events_after(seq):
            yield event
            seq = event.seq
        wait(FOLLOW_SECONDS)


def last_before(moment: datetime) -> int:
    """The number before the first event of this time or later; an event before it may follow."""
    later = AuditEvent.objects.filter(near_period(moment, None), at__gte=moment)
    first = later.order_by("seq").values_list("seq", flat=True).first()
    if first is not None:
        return first - 1
    newest = AuditEvent.objects.order_by("-seq").values_list("seq", flat=True).first()
    return newest or 0


def open_for_appending(path: Path) -> tuple[TextIO, int]:
    """Open or create an export that only its owner may read; the last number in it, 0 if empty.

    A line that was cut off by a crash is removed. Raises ExportError if the file ends with
    anything but an event of this log: appending would hide that the log is another one.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror}.") from error
    file = open(descriptor, "r+", encoding="ascii", newline="")  # noqa: SIM115 - the caller's
    try:
        return file, _last_seq(path, descriptor)
    except OSError as error:
        file.close()
        raise ExportError(f"{path}: {error.strerror}.") from error
    except BaseException:
        file.close()
        raise


def _last_seq(path: Path, descriptor: int) -> int:
    size = os.fstat(descriptor).st_size
    start = max(0, size - TAIL_BYTES)
    tail = os.pread(descriptor, size - start, start)
    whole, end, _cut = tail.rpartition(b"\n")
    if not end and size:
        raise ExportError(f"{path} is no export of the audit log. Choose another file.")
    seq = _known_event(path, whole.rpartition(b"\n")[2]) if end else 0
    os.ftruncate(descriptor, start + len(whole) + len(end))
    os.lseek(descriptor, 0, os.SEEK_END)
    return seq


def _known_event(path: Path, line: bytes) -> int:
    """The number of the event in this line, which must be in the log. Raises ExportError."""
    try:
        content = json.loads(line)
        seq, found = int(content["seq"]), str(content["hash"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ExportError(
            f"{path} does not end with an audit event. Choose another file."
        ) from None
    if not AuditEvent.objects.filter(seq=seq, hash=found).exists():
        raise ExportError(
            f"{path} ends with event {seq}, which the log does not have in this form: the log was "
            "rewritten, cut off or restored. Keep the file, and choose another one."
        )
    return seq
