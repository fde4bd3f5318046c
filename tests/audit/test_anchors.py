"""Anchors find a log that somebody with the whole database has rewritten or cut off."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import jwt
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import User
from audit import anchoring, anchors, audit_log
from audit.models import AuditDestination, AuditEvent
from operations.doctor import examine

pytestmark = pytest.mark.django_db
Change = Callable[[int], None]


@pytest.fixture
def file(tmp_path: Path, settings: Any) -> Path:
    path = tmp_path / "anchors.jws"
    settings.AUDIT_ANCHOR = str(path)
    return path


@pytest.fixture
def anchored(file: Path, owner: User, viewer: User) -> Path:
    """Five events, of which each is anchored."""
    for number in range(5):
        audit_log.record("account:test:act", actor=owner, target=viewer, number=number)
        call_command("anchoraudit", stdout=StringIO())
    return file


def _verify(*arguments: object) -> str:
    out = StringIO()
    call_command("verifyaudit", *map(str, arguments), stdout=out)
    return out.getvalue()


def _fault(*arguments: object) -> str:
    with pytest.raises(CommandError) as failed:
        _verify(*arguments)
    return str(failed.value)


def _findings() -> list[tuple[str, str]]:
    found = examine(ask_others=False)
    return [(one.level, one.text) for one in found if "udit" in one.text or "AUDIT" in one.text]


def test_an_intact_log_agrees_with_its_anchors(anchored: Path) -> None:
    assert _verify("--anchors", anchored) == (
        "The audit log is intact: 5 rows. They agree with 5 anchors.\n"
    )


def test_a_log_that_was_rewritten_differs_from_its_anchors(anchored: Path, rewrite: Change) -> None:
    rewrite(3)

    assert _verify() == "The audit log is intact: 5 rows.\n"
    assert _fault("--anchors", anchored) == (
        "The audit log is broken at row 3: the row is not the one that was anchored; the log has "
        "been rewritten."
    )


def test_the_rows_between_two_anchors_are_named(
    file: Path, five_events: None, owner: User, rewrite: Change
) -> None:
    call_command("anchoraudit", stdout=StringIO())
    for _number in range(3):
        audit_log.record("account:test:act", actor=owner)
    call_command("anchoraudit", stdout=StringIO())
    rewrite(7)

    assert _fault("--anchors", file) == (
        "The audit log is broken at row 6: one of the rows 6 to 8 is not the one that was "
        "anchored; the log has been rewritten."
    )


def test_a_log_that_was_cut_off_is_shorter_than_its_anchors(
    anchored: Path, cut_after: Change
) -> None:
    cut_after(3)

    assert _verify() == "The audit log is intact: 3 rows.\n"
    assert _fault("--anchors", anchored) == (
        "The audit log is broken at row 4: the end of the log has been cut off, since event 5 was "
        "anchored."
    )


def test_a_log_that_was_cut_off_and_went_on_differs_from_its_anchors(
    anchored: Path, cut_after: Change, owner: User
) -> None:
    cut_after(3)
    for _number in range(4):
        audit_log.record("account:test:act", actor=owner)

    assert _verify() == "The audit log is intact: 7 rows.\n"
    assert _fault("--anchors", anchored).startswith("The audit log is broken at row 4: ")


def test_an_anchor_is_a_signed_head_of_the_chain(anchored: Path, settings: Any) -> None:
    jwk = anchors.public_jwk()
    line = anchored.read_text().splitlines()[-1]

    assert jwt.get_unverified_header(line) == {
        "alg": "EdDSA",
        "typ": "audit-anchor+jwt",
        "kid": jwk["kid"],
    }
    claims = jwt.decode(line, jwt.PyJWK(jwk, "EdDSA").key, algorithms=["EdDSA"])
    event = AuditEvent.objects.get(seq=5)
    written_at = claims.pop("iat")
    assert claims == {"iss": settings.PUBLIC_URL, "seq": 5, "hash": event.hash}
    assert event.at.timestamp() - 1 <= written_at <= timezone.now().timestamp()
    assert anchored.stat().st_mode & 0o777 == 0o600


def test_an_anchor_of_another_key_is_refused_unless_that_key_is_named(
    anchored: Path, settings: Any, tmp_path: Path
) -> None:
    out = StringIO()
    call_command("anchoraudit", "--public-key", stdout=out)
    key = tmp_path / "key.json"
    key.write_text(out.getvalue())
    settings.ENCRYPTION_KEY = b"another key of 32 bytes, exactly"

    assert _fault("--anchors", anchored) == (
        f"{anchored}, line 1: no anchor that this instance has signed. If ENCRYPTION_KEY has "
        "changed since, name the earlier key by --key."
    )
    assert _verify("--anchors", anchored, "--key", key).endswith("agree with 5 anchors.\n")


def _changed(line: str) -> str:
    header, payload, signature = line.split(".")
    claims = json.loads(jwt.utils.base64url_decode(payload))
    claims["hash"] = "0" * 64
    return (
        f"{header}.{jwt.utils.base64url_encode(json.dumps(claims).encode()).decode()}.{signature}"
    )


def _unsigned(line: str) -> str:
    claims = jwt.decode(line, options={"verify_signature": False})
    return jwt.encode(claims, None, "none", {"typ": anchors.TYP})


def _by_public_key(line: str) -> str:
    claims = jwt.decode(line, options={"verify_signature": False})
    return jwt.encode(claims, anchors.public_jwk()["x"] * 2, "HS256", {"typ": anchors.TYP})


@pytest.mark.parametrize("forge", [_changed, _unsigned, _by_public_key, lambda line: line[:-4]])
def test_a_forged_anchor_is_refused(anchored: Path, forge: Callable[[str], str]) -> None:
    lines = anchored.read_text().splitlines()
    lines[2] = forge(lines[2])
    anchored.write_text("\n".join(lines))

    assert _fault("--anchors", anchored).startswith(f"{anchored}, line 3: no anchor that this")


def test_anchors_that_contradict_each_other_are_reported(anchored: Path, rewrite: Change) -> None:
    rewrite(3)
    call_command("anchoraudit", stdout=StringIO())

    assert _fault("--anchors", anchored) == (
        f"{anchored}, line 6: event 5 was anchored before with another hash. The log was rewritten "
        "or restored between these anchors."
    )


def test_files_that_hold_no_anchor_are_named(tmp_path: Path, anchored: Path) -> None:
    empty, notes = tmp_path / "empty", tmp_path / "notes"
    empty.write_text("\n")
    notes.write_text("{}")

    assert _fault("--anchors", empty) == f"{empty} holds no anchor."
    assert _fault("--anchors", notes).startswith(f"{notes}, line 1: no anchor")
    assert _fault("--anchors", tmp_path / "x") == f"{tmp_path}/x: No such file or directory."
    assert _fault("--anchors", anchored, "--key", notes) == (
        f"{notes} holds no public key of `anchoraudit --public-key`."
    )
    assert _fault("--key", notes) == "--key needs --anchors."


def test_an_empty_log_cannot_be_anchored(file: Path) -> None:
    with pytest.raises(CommandError, match=r"^The audit log is empty\.$"):
        call_command("anchoraudit")
    assert not file.exists()


def test_without_a_destination_the_anchor_goes_to_standard_output(five_events: None) -> None:
    out = StringIO()
    call_command("anchoraudit", stdout=out)

    claims = jwt.decode(
        out.getvalue().strip(), jwt.PyJWK(anchors.public_jwk()).key, algorithms=["EdDSA"]
    )
    assert claims["seq"] == 5


def test_the_worker_anchors_when_it_is_time_and_something_happened(
    file: Path, five_events: None, owner: User
) -> None:
    assert anchoring.anchor_when_due() == 1
    audit_log.record("account:test:act", actor=owner)
    assert anchoring.anchor_when_due() == 0  # within the hour
    _an_hour_later()
    assert anchoring.anchor_when_due() == 1
    _an_hour_later()
    assert anchoring.anchor_when_due() == 0  # nothing happened

    assert list(anchors.read_anchors(file)) == [5, 6]


def _an_hour_later() -> None:
    row = AuditDestination.objects.get(pk="anchor")
    row.next_attempt_at -= timedelta(hours=1)
    row.save(update_fields=["next_attempt_at"])


def test_one_process_anchors_at_a_time(file: Path, five_events: None) -> None:
    AuditDestination.objects.create(
        name="anchor", lease_until=timezone.now() + timedelta(minutes=1)
    )
    assert anchoring.anchor_when_due() == 0

    AuditDestination.objects.update(lease_until=timezone.now())
    assert anchoring.anchor_when_due() == 1


def test_the_worker_does_nothing_without_the_setting(
    five_events: None, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        assert anchoring.anchor_when_due() == 0


def test_a_file_that_cannot_be_written_is_tried_again_and_reported(
    five_events: None, tmp_path: Path, settings: Any
) -> None:
    settings.AUDIT_ANCHOR = str(tmp_path / "missing" / "anchors.jws")
    assert anchoring.anchor_when_due() == 0

    row = AuditDestination.objects.get(pk="anchor")
    reason = f"AUDIT_ANCHOR={settings.AUDIT_ANCHOR}: No such file or directory."
    assert (row.seq, row.failures, row.last_error) == (0, 1, reason[:200])
    assert row.lease_until is None
    assert row.next_attempt_at <= timezone.now() + timedelta(seconds=6)
    assert [level for level, text in _findings() if reason[:200] in text] == ["warning"]

    (tmp_path / "missing").mkdir()
    AuditDestination.objects.update(next_attempt_at=timezone.now())
    assert anchoring.anchor_when_due() == 1
    assert _findings() == []


def test_the_doctor_finds_a_log_that_its_newest_anchor_contradicts(
    anchored: Path, rewrite: Change
) -> None:
    assert _findings() == []
    rewrite(2)

    ((level, text),) = _findings()
    assert level == "error"
    assert text.startswith("The audit log does not have event 5 as it was anchored at ")


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[str | None, str]], list[int]]]:
    """A server that keeps what is posted, and answers with the given status."""
    posted: list[tuple[str | None, str]] = []
    answers = [201]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            posted.append((self.headers["Content-Type"], body))
            self.send_response(answers[-1])
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    yield f"http://127.0.0.1:{server.server_port}/hooks/part-of-a-token", posted, answers
    server.shutdown()
    server.server_close()


def test_an_anchor_is_posted_to_a_url(
    five_events: None, receiver: Any, settings: Any, tmp_path: Path
) -> None:
    settings.AUDIT_ANCHOR, posted, _answers = receiver
    assert anchoring.anchor_when_due() == 1

    ((content_type, body),) = posted
    assert content_type == "application/jose"
    (tmp_path / "kept").write_text(body)
    assert anchors.read_anchors(tmp_path / "kept") == {5: AuditEvent.objects.get(seq=5).hash}


def test_a_url_that_refuses_is_tried_again_and_not_repeated(
    five_events: None, receiver: Any, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.AUDIT_ANCHOR, _posted, answers = receiver
    answers.append(503)
    assert anchoring.anchor_when_due() == 0

    row = AuditDestination.objects.get(pk="anchor")
    assert (row.seq, row.last_error) == (0, "The receiver of AUDIT_ANCHOR answers 503.")
    settings.AUDIT_ANCHOR = "http://127.0.0.1:1/hooks/part-of-a-token"
    AuditDestination.objects.update(next_attempt_at=timezone.now())
    assert anchoring.anchor_when_due() == 0
    row.refresh_from_db()
    assert row.last_error.startswith("The receiver of AUDIT_ANCHOR does not answer: ")
    assert "part-of-a-token" not in row.last_error + caplog.text
