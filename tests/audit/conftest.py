"""Fixtures of the audit tests: a short log, and a database administrator who rewrites it."""

from collections.abc import Callable

import pytest

from accounts.models import User
from audit import audit_log
from audit.models import AuditEvent
from core.locks import AUDIT
from core.models import NamedLock


@pytest.fixture
def five_events(owner: User, viewer: User) -> None:
    for number in range(5):
        audit_log.record("account:test:act", actor=owner, target=viewer, number=number)


@pytest.fixture
def rewrite() -> Callable[[int], None]:
    """Change an event, and compute all hashes after it and the head anew."""

    def change(seq: int) -> None:
        AuditEvent.objects.filter(seq=seq).update(detail={"number": 99})
        previous = audit_log.GENESIS
        for event in AuditEvent.objects.order_by("seq"):
            event.previous_hash = previous
            event.hash = previous = audit_log.event_hash(event)
            event.save(update_fields=["previous_hash", "hash"])
        NamedLock.objects.filter(pk=AUDIT).update(hash=previous)

    return change


@pytest.fixture
def cut_after() -> Callable[[int], None]:
    """Delete the events after this one, and set the head to it."""

    def cut(seq: int) -> None:
        AuditEvent.objects.filter(seq__gt=seq).delete()
        last = AuditEvent.objects.get(seq=seq)
        NamedLock.objects.filter(pk=AUDIT).update(seq=seq, hash=last.hash)

    return cut
