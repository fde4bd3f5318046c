"""The audit log: who did what, written in the transaction of the act, chained by hashes.

Names are `subject:object:action`, as in `account:role:change`. Details hold ids, roles, counts and
reasons, never a secret and never an address: the log outlives accounts (TRAPS 22, 23).
"""

import hashlib
import json
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from accounts import gates, rows, tally
from accounts.context import current_caller
from accounts.locks import AUDIT
from accounts.models import AuditEvent, HouseLock, User

GENESIS = "0" * 64
SIGN_IN = "account:session:start"
CHUNK = 2000
_HEADS = HouseLock._meta.db_table
# The name of our own table, so the statements hold no foreign text. The first one locks.
TAKE_PLACES = f"UPDATE {_HEADS} SET seq = seq + %s WHERE name = %s RETURNING seq, hash"  # noqa: S608
CHECK_NOW = "SET CONSTRAINTS ALL IMMEDIATE"
SET_HEAD = f"UPDATE {_HEADS} SET hash = %s WHERE name = %s"  # noqa: S608


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
    """Append one event; call it inside the transaction of the act.

    actor, target: anything with a UUID `pk`, or None for the system or nobody.
    """
    event = draft(action, actor=actor, target=target, result=result, **detail)
    append([event])
    return event


def draft(
    action: str,
    *,
    actor: Any = None,
    target: Any = None,
    result: str = "success",
    **detail: Any,
) -> AuditEvent:
    """An event of the current caller that has no place in the log yet; see record()."""
    caller = current_caller()
    event = AuditEvent(
        at=timezone.now(),
        action=action,
        result=result,
        actor_id=getattr(actor, "pk", None),
        target_id=getattr(target, "pk", None),
        channel=caller.channel,
        ip=caller.ip,
        request_id=caller.request_id,
        detail=detail,
    )
    event.acting = actor if isinstance(actor, User) else None
    return event


def append(events: Sequence[AuditEvent]) -> None:
    """Give drafts their places in the chain and write them.

    The chain's head stays locked until the transaction ends, so that two acts never share a
    place. Nearly every act of the house ends here; plain SQL takes a fifth of the ORM's time.

    Raises Refused when somebody who acts on others has lost meanwhile what they act by. The log is
    the order of all acts, so whatever ended their access stands before this act or after it; the
    services have asked what was true when the request came, and may have waited for a lock since.
    """
    if not events:
        return
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Foreign keys are looked up at the commit otherwise, which locks the rows of people
            # after the chain: the wrong way round (see accounts.locks).
            cursor.execute(CHECK_NOW)
        cursor.execute(TAKE_PLACES, [len(events), AUDIT])
        last, previous = cursor.fetchone()
        for actor in _acting_on_others(events):
            gates.require_unchanged(actor)
        for seq, event in enumerate(events, last - len(events) + 1):
            event.seq, event.previous_hash = seq, previous or GENESIS
            event.hash = previous = event_hash(event)
        rows.insert(events)
        cursor.execute(SET_HEAD, [previous, AUDIT])
        transaction.on_commit(lambda: _count(events))


def _acting_on_others(events: Sequence[AuditEvent]) -> Collection[User]:
    """Each actor once. What people do to themselves is judged by what it is about."""
    return {
        event.actor_id: event.acting
        for event in events
        if event.acting is not None
        and event.actor_id != event.target_id
        and event.result == "success"
    }.values()


def _count(events: Sequence[AuditEvent]) -> None:
    """For monitoring: acts, and who came through which door or did not."""
    for event in events:
        tally.add("acts", event.action, event.result)
        if event.action == SIGN_IN:
            tally.add("doors", "+".join(event.detail.get("methods", ())), event.result)


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
