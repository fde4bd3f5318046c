"""`manage.py exportaudit`: every event once, in order, and nothing of a log that was replaced."""

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import User
from audit import audit_log, exporting
from audit.models import AuditEvent
from tests.api.keys import made

pytestmark = pytest.mark.django_db


def _exported(*arguments: str) -> list[dict[str, Any]]:
    out = StringIO()
    call_command("exportaudit", *arguments, stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def _numbers(path: Path) -> list[int]:
    return [json.loads(line)["seq"] for line in path.read_text().splitlines()]


def test_a_line_has_every_column_and_its_hash_can_be_verified(
    five_events: None, owner: User, viewer: User
) -> None:
    second = _exported()[1]

    event = AuditEvent.objects.get(seq=2)
    assert second == {
        "seq": 2,
        "at": event.at.isoformat(timespec="microseconds"),
        "action": "account:test:act",
        "result": "success",
        "actor": str(owner.pk),
        "target": str(viewer.pk),
        "channel": "worker",
        "ip": "",
        "request_id": "",
        "detail": {"number": 1},
        "previous": AuditEvent.objects.get(seq=1).hash,
        "hash": event.hash,
    }
    claimed = second.pop("hash")
    canonical = json.dumps(second, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(canonical.encode()).hexdigest() == claimed


def test_a_line_is_one_line_of_ascii_whatever_the_details_say(owner: User) -> None:
    audit_log.record("account:test:act", actor=owner, name="Größe\u2028\nx")

    line = exporting.as_line(AuditEvent.objects.get())
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["detail"] == {"name": "Größe\u2028\nx"}


def test_the_export_begins_after_a_number(five_events: None) -> None:
    assert [row["seq"] for row in _exported("--after", "3")] == [4, 5]


def test_the_export_begins_at_a_time(five_events: None) -> None:
    now = timezone.now()
    for seq in (1, 2, 3):
        AuditEvent.objects.filter(seq=seq).update(at=now - timedelta(days=10 - seq))
    since = (now - timedelta(days=7, minutes=1)).isoformat()

    assert [row["seq"] for row in _exported("--since", since)] == [3, 4, 5]
    assert _exported("--since", (now + timedelta(days=1)).isoformat()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "yesterday"], "--since: write a time as 2026-12-01T10:00:00Z."),
        (["--since", "2026-13-01T10:00:00Z"], "--since: write a time as 2026-12-01T10:00:00Z."),
        (["--after", "-1"], "--after: write the number of an event, or 0 for all."),
    ],
)
def test_a_wrong_start_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError) as refused:
        _exported(*arguments)

    assert str(refused.value) == message


def test_all_events_come_however_many_there_are(
    five_events: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "BATCH", 2)

    assert [row["seq"] for row in _exported()] == [1, 2, 3, 4, 5]


def test_a_file_is_continued_after_its_last_event(
    five_events: None, owner: User, tmp_path: Path
) -> None:
    file = tmp_path / "audit.jsonl"
    call_command("exportaudit", str(file), "--after", "2", stderr=StringIO())
    audit_log.record("account:test:act", actor=owner)
    said = StringIO()
    call_command("exportaudit", str(file), stderr=said)
    again = StringIO()
    call_command("exportaudit", str(file), stderr=again)

    assert _numbers(file) == [3, 4, 5, 6]
    assert said.getvalue() == f"1 events written to {file}.\n"
    assert again.getvalue() == f"0 events written to {file}.\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_line_that_a_crash_cut_off_is_written_again(five_events: None, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    call_command("exportaudit", str(file), stderr=StringIO())
    whole = file.read_text()
    file.write_text(whole[:-40])

    call_command("exportaudit", str(file), stderr=StringIO())

    assert file.read_text() == whole


def test_a_file_of_another_log_is_left_alone(five_events: None, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    call_command("exportaudit", str(file), stderr=StringIO())
    before = file.read_text()
    AuditEvent.objects.filter(seq=5).update(hash="f" * 64)

    with pytest.raises(CommandError) as refused:
        call_command("exportaudit", str(file), stderr=StringIO())

    assert str(refused.value) == (
        f"{file} ends with event 5, which the log does not have in this form: the log was "
        "rewritten, cut off or restored. Keep the file, and choose another one."
    )
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("notes of somebody", "{} is no export of the audit log. Choose another file."),
        ("some notes\n", "{} does not end with an audit event. Choose another file."),
        ('{"seq": 1}\n', "{} does not end with an audit event. Choose another file."),
    ],
)
def test_another_file_is_left_alone(
    five_events: None, tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "notes"
    file.write_text(content)

    with pytest.raises(CommandError) as refused:
        call_command("exportaudit", str(file), stderr=StringIO())

    assert str(refused.value) == message.format(file)
    assert file.read_text() == content


def test_a_start_is_refused_where_the_file_says_it(five_events: None, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    call_command("exportaudit", str(file), stderr=StringIO())

    with pytest.raises(CommandError) as refused:
        call_command("exportaudit", str(file), "--after", "1", stderr=StringIO())

    assert str(refused.value) == (
        f"{file} has events up to 5, and the export continues after it. Leave out --after and "
        "--since, or choose another file."
    )


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "audit.jsonl"

    with pytest.raises(CommandError) as refused:
        call_command("exportaudit", str(file), stderr=StringIO())

    assert str(refused.value) == f"{file}: No such file or directory."


def test_a_full_disk_is_reported(five_events: None) -> None:
    class Full(StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(CommandError) as failed:
        call_command("exportaudit", stdout=Full())

    assert str(failed.value) == "The events cannot be written: No space left on device."


def test_following_writes_what_happens_meanwhile_until_it_is_stopped(
    five_events: None, owner: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "audit.jsonl"
    seen: list[list[int]] = []

    def turns() -> Iterator[None]:
        seen.append(_numbers(file))
        yield audit_log.record("account:test:act", actor=owner) and None
        seen.append(_numbers(file))
        raise KeyboardInterrupt

    turn = turns()
    real = exporting.follow
    monkeypatch.setattr(exporting, "follow", lambda seq: real(seq, lambda _seconds: next(turn)))
    call_command("exportaudit", str(file), "--after", "3", "--follow", stderr=StringIO())

    assert seen == [[4, 5], [4, 5, 6]]
    assert _numbers(file) == [4, 5, 6]


def test_no_secret_of_a_new_key_is_in_the_export(owner: User) -> None:
    issued = made(owner)

    text = "".join(exporting.as_line(event) for event in exporting.events_after(0))
    assert '"action":"api:key:create"' in text
    assert issued.text not in text
    assert issued.text[-20:] not in text
