"""Events reach a syslog receiver in order, each at least once, whatever fails meanwhile."""

import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from audit import audit_log, destinations, exporting, shipping, syslog
from audit.models import AuditDestination, AuditEvent
from operations.doctor import examine
from tests.servers.ldap import write_certificates

pytestmark = pytest.mark.django_db
RESET = struct.pack("ii", 1, 0)


class TcpReceiver:
    """Keeps what each connection has sent until its end, and then closes it."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.context = context
        self.batches: list[bytes] = []
        self.resets = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.listener.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _address = self.listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                self._read(connection)

    def _read(self, connection: socket.socket) -> None:
        if self.resets:
            self.resets -= 1
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            return
        if self.context is not None:
            connection = self.context.wrap_socket(connection, server_side=True)
        content = b""
        while chunk := connection.recv(65536):
            content += chunk
        self.batches.append(content)
        if isinstance(connection, ssl.SSLSocket):
            connection.unwrap()


@pytest.fixture
def receiver(settings: Any) -> Iterator[TcpReceiver]:
    found = TcpReceiver()
    settings.AUDIT_SYSLOG = f"tcp://127.0.0.1:{found.port}"
    yield found
    found.stop()


@pytest.fixture
def act(owner: User) -> Callable[[], None]:
    return lambda: _record(owner)


def _record(owner: User, result: str = "success", **detail: Any) -> None:
    audit_log.record("account:test:act", actor=owner, result=result, **detail)


def _unframed(content: bytes) -> list[bytes]:
    """The messages of a stream, by octet counting."""
    found = []
    while content:
        length, _space, rest = content.partition(b" ")
        found.append(rest[: int(length)])
        assert len(found[-1]) == int(length)
        content = rest[int(length) :]
    return found


def _numbers(content: bytes) -> list[int]:
    return [json.loads(each.split(b" - ", 2)[2])["seq"] for each in _unframed(content)]


def _due_again() -> None:
    AuditDestination.objects.update(next_attempt_at=timezone.now())


def test_a_message_has_the_form_of_rfc_5424(owner: User, settings: Any) -> None:
    settings.PUBLIC_URL = "https://gate.example.com"
    _record(owner)
    _record(owner, result="refused")
    good, refused = AuditEvent.objects.order_by("seq")
    good.at = datetime(2026, 12, 1, 10, 0, 0, 123456, UTC)

    line = exporting.as_line(good)
    assert syslog.message(good).decode() == (
        "<109>1 2026-12-01T10:00:00.123456Z gate.example.com gatehouse - audit - " + line
    )
    assert syslog.message(refused).startswith(b"<108>1 ")


def test_all_events_arrive_in_order_and_framed(
    receiver: TcpReceiver, act: Callable[[], None]
) -> None:
    for _number in range(3):
        act()

    assert shipping.send_due() == 3
    assert shipping.send_due() == 0

    (content,) = receiver.batches
    assert _unframed(content) == [
        syslog.message(event) for event in AuditEvent.objects.order_by("seq")
    ]
    row = AuditDestination.objects.get()
    assert (row.name, row.seq, row.failures, row.lease_until) == ("syslog", 3, 0, None)


def test_a_long_backlog_goes_in_batches(
    receiver: TcpReceiver, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "BATCH", 2)
    for _number in range(5):
        act()

    assert shipping.send_due() == 5
    assert [_numbers(content) for content in receiver.batches] == [[1, 2], [3, 4], [5]]


def test_a_receiver_that_resets_the_connection_gets_the_same_events_again(
    receiver: TcpReceiver, act: Callable[[], None]
) -> None:
    act()
    receiver.resets = 1

    assert shipping.send_due() == 0
    row = AuditDestination.objects.get()
    assert (row.seq, row.failures, row.lease_until) == (0, 1, None)
    assert row.failing_since is not None
    act()
    assert shipping.send_due() == 0  # it is not time yet
    assert receiver.batches == []
    _due_again()
    assert shipping.send_due() == 2

    assert [_numbers(content) for content in receiver.batches] == [[1, 2]]
    row.refresh_from_db()
    assert (row.seq, row.failures, row.failing_since, row.last_error) == (2, 0, None, "")


def test_a_receiver_that_does_not_close_has_confirmed_nothing(
    act: Callable[[], None], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syslog, "SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.AUDIT_SYSLOG = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        act()
        assert shipping.send_due() == 0

    row = AuditDestination.objects.get()
    assert (row.seq, row.last_error) == (0, "timed out")


def test_the_wait_between_attempts_is_bounded(settings: Any, act: Callable[[], None]) -> None:
    settings.AUDIT_SYSLOG = "tcp://127.0.0.1:1"
    act()
    AuditDestination.objects.create(
        name="syslog", failures=10_000, failing_since=timezone.now(), next_attempt_at=timezone.now()
    )
    assert shipping.send_due() == 0

    row = AuditDestination.objects.get()
    assert row.failures == 10_001
    assert row.next_attempt_at <= timezone.now() + timedelta(minutes=5)


def test_one_process_sends_at_a_time_until_its_lease_ends(
    receiver: TcpReceiver, act: Callable[[], None]
) -> None:
    act()
    claimed = destinations.claim("syslog")
    assert claimed is not None

    assert shipping.send_due() == 0
    AuditDestination.objects.update(lease_until=timezone.now())
    assert shipping.send_due() == 1
    destinations.note_success(claimed, 99)  # the first one comes back too late

    assert AuditDestination.objects.get().seq == 1


def test_an_idle_worker_asks_two_short_questions(
    receiver: TcpReceiver, act: Callable[[], None], django_assert_num_queries: Any
) -> None:
    act()
    assert shipping.send_due() == 1
    with django_assert_num_queries(2):
        assert shipping.send_due() == 0


def test_without_the_setting_nothing_is_asked(
    act: Callable[[], None], django_assert_num_queries: Any
) -> None:
    act()
    with django_assert_num_queries(0):
        assert shipping.send_due() == 0


def test_a_log_that_was_cut_off_is_logged_and_sent_on(
    receiver: TcpReceiver,
    act: Callable[[], None],
    cut_after: Callable[[int], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _number in range(4):
        act()
    shipping.send_due()
    cut_after(2)
    act()

    assert shipping.send_due() == 0
    assert "the audit log is shorter than what was sent" in caplog.text
    act()
    assert shipping.send_due() == 1
    assert _numbers(receiver.batches[-1]) == [4]


def test_datagrams_leave_out_the_details_of_a_large_event(owner: User, settings: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(5)
        settings.AUDIT_SYSLOG = f"udp://127.0.0.1:{listener.getsockname()[1]}"
        _record(owner, text="x")
        _record(owner, text="x" * 70_000)
        assert shipping.send_due() == 2
        small, large = listener.recv(65536), listener.recv(65536)

    assert small == syslog.message(AuditEvent.objects.get(seq=1))
    content = json.loads(large.split(b" - ", 2)[2])
    assert (content["seq"], content["omitted"]) == (2, "detail")
    assert "detail" not in content
    assert content["hash"] == AuditEvent.objects.get(seq=2).hash


def test_by_tls_the_certificate_is_verified(
    act: Callable[[], None], settings: Any, tmp_path: Path
) -> None:
    write_certificates(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    receiver = TcpReceiver(context)
    try:
        settings.AUDIT_SYSLOG = f"tls://localhost:{receiver.port}"
        act()
        assert shipping.send_due() == 0
        assert "CERTIFICATE_VERIFY_FAILED" in AuditDestination.objects.get().last_error
        assert receiver.batches == []
        settings.PROVIDER_CA_FILE = str(tmp_path / "ca.pem")
        _due_again()
        assert shipping.send_due() == 1
        assert [_numbers(content) for content in receiver.batches] == [[1]]
    finally:
        receiver.stop()


def _findings() -> list[tuple[str, str]]:
    return [(one.level, one.text) for one in examine(ask_others=False) if "udit" in one.text
            or "AUDIT" in one.text]  # fmt: skip


def test_the_doctor_reports_a_receiver_that_fails(settings: Any, act: Callable[[], None]) -> None:
    settings.AUDIT_SYSLOG = "tcp://127.0.0.1:1"
    assert _findings() == []
    act()
    shipping.send_due()

    ((level, text),) = _findings()
    assert level == "warning"
    assert re.fullmatch(r"AUDIT_SYSLOG has failed since .* UTC: .*Connection refused", text)


def test_the_doctor_reports_events_that_nobody_sends(
    receiver: TcpReceiver, act: Callable[[], None]
) -> None:
    act()
    assert _findings() == []
    AuditEvent.objects.update(at=timezone.now() - timedelta(minutes=11))

    ((level, text),) = _findings()
    assert level == "warning"
    assert re.fullmatch(r"Audit events since .* UTC have not reached AUDIT_SYSLOG\.", text)
