"""The chain of the audit log: every change of the table is detected."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from audit import audit_log
from audit.models import AuditEvent
from core.models import NamedLock

pytestmark = pytest.mark.django_db


@pytest.fixture
def five_events(owner: User, viewer: User) -> None:
    for number in range(5):
        audit_log.record("account:test:act", actor=owner, target=viewer, number=number)


def test_an_event_names_actor_action_and_target(owner: User, viewer: User) -> None:
    audit_log.record(
        "account:role:change", actor=owner, target=viewer, before="viewer", after="editor"
    )

    event = AuditEvent.objects.get()
    assert (event.seq, event.action, event.result) == (1, "account:role:change", "success")
    assert (event.actor_id, event.target_id) == (owner.pk, viewer.pk)
    assert event.detail == {"before": "viewer", "after": "editor"}
    assert event.previous_hash == audit_log.GENESIS


def test_an_intact_log_verifies(five_events: None) -> None:
    assert audit_log.verify() == audit_log.VerificationResult(checked=5)


@pytest.mark.parametrize(
    ("tamper", "broken_at", "reason"),
    [
        (
            lambda: AuditEvent.objects.filter(seq=3).update(action="account:test:other"),
            3,
            "a row has been changed",
        ),
        (
            lambda: AuditEvent.objects.filter(seq=3).update(detail={"number": 99}),
            3,
            "a row has been changed",
        ),
        (lambda: AuditEvent.objects.filter(seq=2).delete(), 2, "a row is missing"),
        (lambda: AuditEvent.objects.filter(seq=1).delete(), 1, "a row is missing"),
        (
            lambda: AuditEvent.objects.filter(seq__gt=3).delete(),
            4,
            "the end of the log has been cut off",
        ),
        (
            lambda: AuditEvent.objects.all().delete(),
            1,
            "the end of the log has been cut off",
        ),
    ],
)
def test_tampering_is_found_at_the_first_wrong_row(
    five_events: None, tamper: Callable[[], object], broken_at: int, reason: str
) -> None:
    tamper()

    verdict = audit_log.verify()
    assert (verdict.broken_at, verdict.reason) == (broken_at, reason)


def test_swapped_rows_are_found(five_events: None) -> None:
    AuditEvent.objects.filter(seq=2).update(seq=99)
    AuditEvent.objects.filter(seq=3).update(seq=2)
    AuditEvent.objects.filter(seq=99).update(seq=3)

    assert audit_log.verify().broken_at == 2


def test_a_changed_row_with_a_recomputed_hash_breaks_the_next_one(five_events: None) -> None:
    event = AuditEvent.objects.get(seq=3)
    event.detail = {"number": 99}
    AuditEvent.objects.filter(seq=3).update(detail=event.detail, hash=audit_log.event_hash(event))

    assert audit_log.verify().broken_at == 4


def test_the_log_is_verified_page_by_page(
    five_events: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL would write the rows of a cursor outside of a transaction to a file first."""
    monkeypatch.setattr(audit_log, "CHUNK", 2)

    with CaptureQueriesContext(connection) as captured:
        assert audit_log.verify() == audit_log.VerificationResult(5)

    read = [query["sql"] for query in captured if 'FROM "audit_auditevent"' in query["sql"]]
    assert [statement.endswith(" LIMIT 2") for statement in read] == [True] * 4


def test_an_event_that_is_written_during_the_verification_is_no_fault(
    five_events: None, viewer: User
) -> None:
    written: list[str] = []

    def write_before_the_head_is_read(execute: Any, statement: str, *rest: Any) -> Any:
        if statement.startswith("SELECT") and "namedlock" in statement and len(written) < 3:
            written.append(statement)
            audit_log.record("account:session:start", actor=viewer, target=viewer)
        return execute(statement, *rest)

    with connection.execute_wrapper(write_before_the_head_is_read):
        assert audit_log.verify() == audit_log.VerificationResult(5 + len(written))


def test_a_row_that_is_numbered_below_the_first_one_is_found(five_events: None) -> None:
    AuditEvent.objects.filter(seq=5).update(seq=-3)

    assert audit_log.verify() == audit_log.VerificationResult(0, 1, "a row is missing")


def test_a_failed_action_leaves_no_event(owner: User) -> None:
    with transaction.atomic():
        audit_log.record("account:test:act", actor=owner)
        transaction.set_rollback(True)

    assert AuditEvent.objects.count() == 0
    assert NamedLock.objects.get(pk="audit").seq == 0


def test_the_command_reports_an_intact_log(
    five_events: None, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("verifyaudit")

    assert capsys.readouterr().out == "The audit log is intact: 5 rows.\n"


def test_the_command_names_the_first_wrong_row(five_events: None) -> None:
    AuditEvent.objects.filter(seq=4).update(ip="203.0.113.1")

    with pytest.raises(CommandError, match=r"broken at row 4: a row has been changed"):
        call_command("verifyaudit")


def test_deferred_events_are_appended_at_the_end_in_their_order(owner: User, viewer: User) -> None:
    numbers: list[int] = []
    with transaction.atomic(), audit_log.deferred():
        first = audit_log.record("account:user:edit", actor=owner, target=viewer)
        audit_log.record("account:user:disable", target=viewer)
        audit_log.when_numbered(lambda: numbers.append(first.seq))
        assert (AuditEvent.objects.count(), first.seq, numbers) == (0, None, [])

    rows = list(AuditEvent.objects.order_by("seq").values_list("action", flat=True))
    assert rows == ["account:user:edit", "account:user:disable"]
    assert numbers == [AuditEvent.objects.order_by("seq")[0].seq]
    assert audit_log.verify().broken_at is None


def test_an_error_drops_deferred_events(viewer: User) -> None:
    numbers: list[str] = []

    def fail() -> None:
        with transaction.atomic(), audit_log.deferred():
            audit_log.record("account:user:disable", target=viewer)
            audit_log.when_numbered(lambda: numbers.append("called"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    audit_log.record("account:user:enable", target=viewer)

    assert (AuditEvent.objects.get().action, numbers) == ("account:user:enable", [])
