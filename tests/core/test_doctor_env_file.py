"""`manage.py doctor` explains each line of .env."""

import contextlib
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from config.environment import load

pytestmark = pytest.mark.django_db


def _doctor(capsys: pytest.CaptureFixture[str]) -> str:
    with contextlib.suppress(CommandError):  # what else is wrong with this machine
        call_command("doctor")
    return capsys.readouterr().out


def test_doctor_names_every_line(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text(
        "PORT=3080\nMONGO_URI=mongodb://127.0.0.1\nRESEND_API_KEY=re_0123456789\n"
        "RESEND_EMAIL=a@example.com\n"
    )
    settings.ENV = load({}, tmp_path / ".env")

    printed = _doctor(capsys)

    assert (
        "Lines of .env:\n\n"
        "     1 PORT sets PORT=3080\n"
        "     2 MONGO_URI not used by Gatehouse: the app's own database, queue, search and files\n"
        "     3 RESEND_API_KEY sets RESEND_API_KEY=(set)\n"
        "     4 RESEND_EMAIL sets RESEND_EMAIL=a@example.com\n"
    ) in printed
    assert "re_0123456789" not in printed


def test_doctor_warns_while_sign_in_is_off(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.ENV = load({"ANONYMOUS_MODE": "true"}, tmp_path / ".env")

    assert (
        "WARNING  ANONYMOUS_MODE: is true: everyone who can open the site uses it as editor, "
        "without an account. Fix: remove it to require sign-in, and restart.\n"
    ) in _doctor(capsys)


def test_without_an_env_file_no_lines_are_reported(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.ENV = load({}, tmp_path / ".env")

    assert "Lines of .env" not in _doctor(capsys)


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        (
            "DOMAIN_CLIENT",
            "https://gate.example.com",
            "is overridden by {}PUBLIC_URL: PUBLIC_URL=https://gate.example.com",
        ),
        (
            "OPENID_IMAGE_URL",
            "",
            "is empty and changes nothing: OPENID_IMAGE_URL stays empty (default)",
        ),
        ("EMAIL_SERVICE", "", "is empty and changes nothing: EMAIL_SERVICE stays empty (default)"),
        (
            "NEXT_AUTH_SSO_PROVIDERS",
            "",
            "is empty and changes nothing: AUTH_SSO_PROVIDERS stays empty (default)",
        ),
        (
            "CACHE_URL",
            "redis://:hunter2@redis:6379/0",
            (
                "not used by Gatehouse: a Redis server, which Gatehouse does not need: counters "
                "are in its database"
            ),
        ),
        (
            "SMTP_HOST_FILE",
            "/run/secrets/host",
            (
                "not used by Gatehouse: mail of the app; for Gatehouse write the same as "
                "EMAIL_HOST, EMAIL_PORT, EMAIL_ENCRYPTION, EMAIL_USERNAME, EMAIL_PASSWORD and "
                "EMAIL_FROM"
            ),
        ),
    ],
)
def test_doctor_names_every_setting_wherever_it_is_given(
    tmp_path: Path,
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    what: str,
) -> None:
    given = {"PUBLIC_URL": "https://gate.example.com", name: value}
    settings.ENV = load(given, tmp_path / ".env")
    from_environment = _doctor(capsys)
    (tmp_path / ".env").write_text("".join(f"{key}={text}\n" for key, text in given.items()))
    settings.ENV = load({}, tmp_path / ".env")
    from_file = _doctor(capsys)

    assert f"       {name} {what.format('environment: ')}\n" in from_environment
    assert f"     2 {name} {what.format('.env line 1: ')}\n" in from_file
    assert "hunter2" not in from_environment + from_file
