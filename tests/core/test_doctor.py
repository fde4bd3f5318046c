"""`manage.py doctor` checks the servers that an instance needs, whatever they respond."""

import os
import resource
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from accounts.models import User
from core.invalidation.sqlite import FileConnection
from devtools.servers.processes import free_port
from forward_auth.models import AccessRule
from mail.conf import MailSettings
from operations import doctor
from tests.servers.mail import MailCertificate, ResendServer, SMTPServer
from webhooks.models import WebhookEndpoint
from webhooks.services.endpoints import create_endpoint

pytestmark = pytest.mark.django_db
PASSWORD = "pässwort€"


def smtp_settings(server: SMTPServer, encryption: str = "none") -> MailSettings:
    return MailSettings(
        "smtp",
        "gate@example.com",
        host="127.0.0.1",
        port=server.port,
        encryption=encryption,  # type: ignore[arg-type]
        username="gate",
        password=PASSWORD,
    )


def mail_findings() -> list[tuple[str, str, str]]:
    found = [finding for finding in doctor.examine() if finding.text.startswith("Mail: ")]
    return [(finding.level, finding.text, finding.fix) for finding in found]


def test_doctor_connects_upgrades_and_signs_in_at_the_mail_server(
    settings: Settings, smtp_server: SMTPServer, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = MailCertificate(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    smtp_server.conduct.tls = certificate.context
    settings.MAIL = smtp_settings(smtp_server, "auto")

    assert mail_findings() == []

    assert smtp_server.signed_in == [("PLAIN", "gate", PASSWORD)]
    assert smtp_server.encrypted == [True]
    assert smtp_server.mails == []


def test_a_wrong_password_of_the_mail_server_is_an_error(
    settings: Settings, smtp_server: SMTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    smtp_server.conduct.users = {"gate": "another"}
    settings.MAIL = smtp_settings(smtp_server)

    assert mail_findings() == [
        (
            "error",
            "Mail: SMTP: 535 5.7.8 bad credentials.",
            "Correct EMAIL_USERNAME and EMAIL_PASSWORD. Some services want an app password.",
        )
    ]
    with pytest.raises(CommandError):
        call_command("doctor")
    assert PASSWORD not in capsys.readouterr().out


@pytest.mark.parametrize("host", ["smtp..example.com", "127.0.0.1"])
def test_an_unreachable_mail_server_is_an_error(settings: Settings, host: str) -> None:
    settings.MAIL = MailSettings("smtp", "gate@example.com", host=host, port=free_port())

    ((level, _text, fix),) = mail_findings()

    assert level == "error"
    assert fix == "Check EMAIL_HOST and EMAIL_PORT (or RESEND_API_URL) and the firewall."


def test_a_wrong_key_of_resend_is_an_error(settings: Settings, resend_server: ResendServer) -> None:
    resend_server.wrong_keys.add("wrong")
    settings.MAIL = MailSettings("resend", "gate@example.com", "wrong", resend_server.url)

    assert mail_findings() == [("error", "Mail: Resend: 401.", "Correct RESEND_API_KEY.")]


def test_a_failing_check_is_a_finding_and_stops_no_other(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise KeyError("hunter2")

    monkeypatch.setattr(doctor, "EXAMINATIONS", (fails, *doctor.EXAMINATIONS))

    texts = [finding.text for finding in doctor.examine()]

    assert "The examination of the fails failed: KeyError." in texts
    assert "This instance has no owner yet." in texts or "There is no active owner." in texts


def test_database_files_must_be_readable_only_by_this_user(tmp_path: Path) -> None:
    path = tmp_path / "gatehouse.sqlite3"
    before = os.umask(0)
    try:
        connection = sqlite3.connect(path, factory=FileConnection)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE a (b)")
        modes = {found.name: found.stat().st_mode & 0o777 for found in tmp_path.iterdir()}
        connection.close()
    finally:
        os.umask(before)

    assert modes == {path.name + end: 0o600 for end in ("", "-wal", "-shm")}


def test_files_that_others_can_read_are_listed(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gatehouse.sqlite3"
    path.touch(0o600)
    changed = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}}
    monkeypatch.setattr(doctor.settings, "DATABASES", changed)

    assert list(doctor._files()) == []

    for mode in (0o640, 0o604):
        path.chmod(mode)
        (found,) = doctor._files()
        assert (found.level, found.text) == (
            "warning", f"{path} can be read by other users of this machine."
        )  # fmt: skip
        assert f"chmod 600 {path}" in found.fix


def test_rules_with_non_ascii_characters_are_listed() -> None:
    AccessRule.objects.create(position=1, name="About us", effect="deny", path="/über-uns")
    AccessRule.objects.create(position=2, name="Admin", effect="deny", path="/admin")
    AccessRule.objects.create(position=3, name="Off", effect="deny", path="/ü", is_enabled=False)

    found = [one for one in doctor.examine() if one.text.startswith("Paths of access rules")]

    assert [(one.level, "About us." in one.text) for one in found] == [("note", True)]
    AccessRule.objects.filter(name="About us").delete()
    assert not [one for one in doctor.examine() if one.text.startswith("Paths of access rules")]


def test_a_low_limit_of_open_files_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def messages() -> list[tuple[str, str]]:
        found = [finding for finding in doctor.examine() if "open files" in finding.text]
        return [(finding.level, finding.text) for finding in found]

    monkeypatch.setattr("resource.getrlimit", lambda _which: (1024, 8448))
    assert messages() == []
    monkeypatch.setattr("resource.getrlimit", lambda _which: (1024, resource.RLIM_INFINITY))
    assert messages() == []

    monkeypatch.setattr("resource.getrlimit", lambda _which: (1024, 4096))
    (found,) = messages()
    level, text = found
    assert level == "warning"
    assert text == (
        "The system allows 4096 open files for a process, and a server process needs up to "
        "8448: idle connections can block users."
    )


def test_doctor_names_webhooks_that_fail(owner: User) -> None:
    values = {"name": "Chat", "url": "https://chat.example.com/secret"}
    row = create_endpoint(actor=owner, values=values).endpoint

    def found() -> list[str]:
        return [one.text for one in doctor.examine() if one.part == doctor.HealthPart.WEBHOOKS]

    assert found() == []
    WebhookEndpoint.objects.update(failing_since=datetime(2026, 11, 28, 5, 34, tzinfo=UTC))
    assert found() == ["The webhook Chat (chat.example.com) has failed since 2026-11-28 05:34 UTC."]
    WebhookEndpoint.objects.filter(pk=row.pk).update(is_enabled=False, disabled_reason="gone")
    assert found() == [
        "The webhook Chat (chat.example.com) was disabled, because its receiver failed."
    ]
    WebhookEndpoint.objects.filter(pk=row.pk).update(disabled_reason="by_hand")
    assert found() == []
