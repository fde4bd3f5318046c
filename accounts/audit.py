"""The audit log: who did what, written in the transaction of the act, chained by hashes.

Names are `subject:object:action`, as in `account:role:change`. Details hold ids, roles, counts and
reasons, never a secret and never an address: the log outlives accounts (TRAPS 22, 23).
"""

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.context import current_caller
from accounts.locks import AUDIT, house_lock
from accounts.models import AuditEvent, HouseLock

GENESIS = "0" * 64
CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of verify(): `broken_at` is the first wrong sequence number, None when all is well."""

    checked: int
    broken_at: int | None = None
    reason: str = ""


def record(
    action: str,
    *,
    actor: Any = None,
    target: Any = None,
    result: str = "success",
    **detail: Any,
) -> AuditEvent:
    """Append one event; call it inside the transaction of the act, after its other writes.

    actor, target: anything with a UUID `pk`, or None for the system or nobody.
    The chain's head stays locked until the transaction ends, so that two acts never share a place.
    """
    with transaction.atomic(savepoint=False):
        head = house_lock(AUDIT)
        caller = current_caller()
        event = AuditEvent(
            seq=head.seq + 1,
            at=timezone.now(),
            action=action,
            result=result,
            actor_id=getattr(actor, "pk", None),
            target_id=getattr(target, "pk", None),
            channel=caller.channel,
            ip=caller.ip,
            request_id=caller.request_id,
            detail=detail,
            previous_hash=head.hash or GENESIS,
        )
        event.hash = event_hash(event)
        event.save(force_insert=True)
        HouseLock.objects.filter(pk=AUDIT).update(seq=event.seq, hash=event.hash)
    return event


def event_hash(event: AuditEvent) -> str:
    """SHA-256 over every column and the previous hash, in one canonical JSON form."""
    content = {
        "seq": event.seq,
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "action": event.action,
        "result": event.result,
        "actor": _text(event.actor_id),
        "target": _text(event.target_id),
        "channel": event.channel,
        "ip": event.ip,
        "request_id": event.request_id,
        "detail": event.detail,
        "previous": event.previous_hash,
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def verify() -> Verdict:
    """Walk the chain from the first row; finds changed, missing, reordered and cut-off rows."""
    expected_seq, expected_hash = 1, GENESIS
    for event in _events():
        if event.seq != expected_seq:
            return Verdict(expected_seq - 1, expected_seq, "a row is missing")
        if event.previous_hash != expected_hash or event_hash(event) != event.hash:
            return Verdict(expected_seq - 1, event.seq, "a row has been changed")
        expected_seq, expected_hash = event.seq + 1, event.hash
    head = HouseLock.objects.get(pk=AUDIT)
    if (head.seq, head.hash or GENESIS) != (expected_seq - 1, expected_hash):
        return Verdict(expected_seq - 1, expected_seq, "the end of the log has been cut off")
    return Verdict(expected_seq - 1)


def _events() -> Iterator[AuditEvent]:
    return AuditEvent.objects.order_by("seq").iterator(chunk_size=CHUNK)


def _text(value: uuid.UUID | None) -> str | None:
    return None if value is None else str(value)
