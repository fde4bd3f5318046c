"""The audit log: written in the transaction of the action, and chained by hashes.

Action names are `subject:object:action`, as in `account:role:change`. Details hold ids, roles,
counts and reasons, never a secret or an address: rows outlive the account (TRAPS 22, 23).
"""

import hashlib
import json
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC
from functools import cache
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from audit.models import AuditEvent
from core import metrics, sql, tracing
from core.locks import AUDIT
from core.models import NamedLock
from core.web.request_context import get_request_context

GENESIS = "0" * 64
SIGN_IN = "account:session:start"
# Attributes of the trace of a sign-in.
SIGN_IN_METHOD, SIGN_IN_RESULT = "gatehouse.sign_in.method", "gatehouse.sign_in.result"
CHUNK = 2000
MAX_COLLECTED = 20
_HEADS = NamedLock._meta.db_table
# _HEADS is a constant, so the statements contain no input. The first one locks the head.
RESERVE = f"UPDATE {_HEADS} SET seq = seq + %s WHERE name = %s RETURNING seq, hash"  # noqa: S608
CHECK_NOW = "SET CONSTRAINTS ALL IMMEDIATE"
SET_HEAD = f"UPDATE {_HEADS} SET hash = %s WHERE name = %s"  # noqa: S608
# The event that the running service takes back, and where events are collected.
_undoes: ContextVar[int | None] = ContextVar("gatehouse_undoes", default=None)
_collected: ContextVar[list[AuditEvent] | None] = ContextVar("gatehouse_collected", default=None)
_added: ContextVar[Mapping[str, Any] | None] = ContextVar("gatehouse_added", default=None)
_deferred: ContextVar["_Deferred | None"] = ContextVar("gatehouse_deferred", default=None)


@dataclass(frozen=True, slots=True)
class VerificationResult:
    """The result of verify(). broken_at: the first wrong sequence number, None if all are right."""

    checked: int
    broken_at: int | None = None
    reason: str = ""


class _Deferred(NamedTuple):
    """What waits for the end of deferred(): events, and what needs their numbers."""

    events: list[AuditEvent]
    following: list[Callable[[], None]]


def record(
    action: str,
    *,
    actor: Any = None,
    target: Any = None,
    result: str = "success",
    **detail: Any,
) -> AuditEvent:
    """Append one event. Call inside the transaction of the action.

    actor, target: an object with a UUID `pk`; None for the system or no target. Inside deferred()
    the event has no number yet.
    """
    event = draft(action, actor=actor, target=target, result=result, **detail)
    waiting = _deferred.get()
    if waiting is None:
        append([event])
    else:
        waiting.events.append(event)
    return event


def draft(
    action: str,
    *,
    actor: Any = None,
    target: Any = None,
    result: str = "success",
    **detail: Any,
) -> AuditEvent:
    """An event in the current request context that is not in the log yet; see record()."""
    context = get_request_context()
    event = sql.new_row(
        AuditEvent,
        at=timezone.now(),
        action=action,
        result=result,
        actor_id=getattr(actor, "pk", None),
        target_id=getattr(target, "pk", None),
        channel=context.channel,
        ip=context.ip,
        request_id=context.request_id,
        detail=detail | dict(_added.get() or {}),
        undoes=_undoes.get(),
    )
    event.acting = actor if isinstance(actor, get_user_model()) else None
    return event


@contextmanager
def undoing(seq: int) -> Iterator[None]:
    """The event that is recorded inside the block takes back the event `seq`.

    The database refuses a second one, so the block calls one service that records one event.
    """
    token = _undoes.set(seq)
    try:
        yield
    finally:
        _undoes.reset(token)


@contextmanager
def adding(detail: Mapping[str, Any]) -> Iterator[None]:
    """Add details to each event that is drafted inside the block, such as who confirmed it.

    detail: read when the event is drafted, so the block may still add to it.
    """
    token = _added.set(detail)
    try:
        yield
    finally:
        _added.reset(token)


@contextmanager
def collected() -> Iterator[list[AuditEvent]]:
    """The first MAX_COLLECTED events that are appended inside the block.

    A transaction that is rolled back takes its events with it: compare their hashes with the log.
    """
    events: list[AuditEvent] = []
    token = _collected.set(events)
    try:
        yield events
    finally:
        _collected.reset(token)


@contextmanager
def deferred() -> Iterator[None]:
    """Append the events that are recorded inside the block at its end, in their order.

    For one transaction of many services that also inserts accounts: the chain is locked last. An
    error in the block drops the events, so it has to end the transaction as well.
    """
    waiting = _Deferred([], [])
    token = _deferred.set(waiting)
    try:
        yield
    finally:
        _deferred.reset(token)
    append(waiting.events)
    for then in waiting.following:
        then()


def when_numbered(then: Callable[[], None]) -> None:
    """Call `then`, which needs the number of an event, now or at the end of deferred()."""
    waiting = _deferred.get()
    if waiting is None:
        then()
    else:
        waiting.following.append(then)


def append(events: Sequence[AuditEvent]) -> None:
    """Append drafts to the chain.

    The head of the chain stays locked until the transaction ends, so no two events get the same
    number. Nearly every action ends here; plain SQL takes a fifth of the time of the ORM.

    Raises AccessDenied if an actor who acts on others has lost their access meanwhile. The service
    checked it when the request arrived, and may have waited for a lock since. The log orders all
    actions, so the revocation is either before this action or after it.
    """
    if not events:
        return
    with _in_transaction():
        if connection.vendor == "postgresql":
            # Otherwise foreign keys are checked at the commit, which locks users after the chain:
            # the wrong order (see core.locks).
            sql.write(CHECK_NOW)
        last, previous = sql.fetch(RESERVE, len(events), AUDIT)
        for actor in _acting_on_others(events):
            _actor_check()(actor)
        for seq, event in enumerate(events, last - len(events) + 1):
            event.seq, event.previous_hash = seq, previous or GENESIS
            event.hash = previous = event_hash(event)
        sql.insert(events)
        sql.write(SET_HEAD, previous, AUDIT)
        collecting = _collected.get()
        if collecting is not None:
            collecting += events[: MAX_COLLECTED - len(collecting)]
        # Only what is counted is kept until the commit: an import appends many thousand events.
        counted = [(event.action, event.result, *_methods_of(event)) for event in events]
        transaction.on_commit(lambda: _count(counted))


@contextmanager
def _in_transaction() -> Iterator[None]:
    """That of the caller, which an error ends, as transaction.atomic(savepoint=False) does."""
    if not connection.in_atomic_block:
        with transaction.atomic():
            yield
        return
    try:
        yield
    except BaseException:
        connection.needs_rollback = True
        raise


@cache
def _actor_check() -> Callable[[Any], None]:
    """The function settings.AUDIT_ACTOR_CHECK, which raises if the actor has lost their access."""
    check: Callable[[Any], None] = import_string(settings.AUDIT_ACTOR_CHECK)
    return check


def _acting_on_others(events: Sequence[AuditEvent]) -> Collection[Any]:
    """The actors of successful events about others. Events about oneself need no check."""
    return {
        event.actor_id: event.acting
        for event in events
        if event.acting is not None
        and event.actor_id != event.target_id
        and event.result == "success"
    }.values()


def _methods_of(event: AuditEvent) -> Iterator[str]:
    """The sign-in method, for events that metrics count by it."""
    if event.action == SIGN_IN:
        yield "+".join(event.detail.get("methods", ()))


def _count(counted: Sequence[tuple[str, ...]]) -> None:
    """Count actions, and sign-ins by method and result, for monitoring."""
    for action, result, *methods in counted:
        metrics.add("acts", action, result)
        for method in methods:
            metrics.add("sign_ins", method, result)
            tracing.note({SIGN_IN_METHOD: method, SIGN_IN_RESULT: result})


def event_content(event: AuditEvent) -> dict[str, Any]:
    """What the hash of an event covers: all columns and the previous hash.

    `undoes` is part of it only where it is set.
    """
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
    if event.undoes is not None:
        content["undoes"] = event.undoes
    return content


def event_hash(event: AuditEvent) -> str:
    """SHA-256 of event_content() as canonical JSON."""
    canonical = json.dumps(
        event_content(event), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def verify(anchored: Mapping[int, str] | None = None) -> VerificationResult:
    """Verify the whole chain; finds changed, missing, reordered and cut-off rows.

    anchored: hashes by number that were kept outside. With them a chain that was computed anew, or
    cut off together with its head, is found too. Then broken_at is the first number after the last
    event that an anchor confirms.
    """
    hashes = anchored or {}
    expected_seq, expected_hash, confirmed = 1, GENESIS, 0
    log = _Log()
    for event in log:
        if event.seq != expected_seq:
            return VerificationResult(expected_seq - 1, expected_seq, "a row is missing")
        if event.previous_hash != expected_hash or event_hash(event) != event.hash:
            return VerificationResult(expected_seq - 1, event.seq, "a row has been changed")
        if event.seq in hashes:
            if hashes[event.seq] != event.hash:
                return VerificationResult(confirmed, confirmed + 1, _differs(confirmed, event.seq))
            confirmed = event.seq
        expected_seq, expected_hash = event.seq + 1, event.hash
    head = log.head
    if (head.seq, head.hash or GENESIS) != (expected_seq - 1, expected_hash):
        return VerificationResult(
            expected_seq - 1, expected_seq, "the end of the log has been cut off"
        )
    newest = max(hashes, default=0)
    if newest >= expected_seq:
        reason = f"the end of the log has been cut off, since event {newest} was anchored"
        return VerificationResult(expected_seq - 1, expected_seq, reason)
    return VerificationResult(expected_seq - 1)


def _differs(confirmed: int, seq: int) -> str:
    if seq == confirmed + 1:
        return "the row is not the one that was anchored; the log has been rewritten"
    return (
        f"one of the rows {confirmed + 1} to {seq} is not the one that was anchored; the log has "
        "been rewritten"
    )


class _Log:
    """All events in their order, read page by page; then `head` is that of the last one.

    Not a cursor: outside of a transaction PostgreSQL writes all of its rows to a file first, and
    inside of one it keeps every row that the database could clean up meanwhile.
    """

    def __init__(self) -> None:
        self.head = NamedLock.objects.get(pk=AUDIT)

    def __iter__(self) -> Iterator[AuditEvent]:
        rows = AuditEvent.objects.order_by("seq")
        events = list(rows[:CHUNK])
        while events:
            yield from events
            # Read before the next page, so that an event that is written meanwhile is no fault.
            self.head = NamedLock.objects.get(pk=AUDIT)
            events = list(rows.filter(seq__gt=events[-1].seq)[:CHUNK])


def _text(value: uuid.UUID | None) -> str | None:
    return None if value is None else str(value)
