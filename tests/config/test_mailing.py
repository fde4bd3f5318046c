"""How mail leaves: which transport, with which settings, and what is missing."""

from collections.abc import Callable

import pytest

from config.env import Environment, MailSettings, mail_settings

Load = Callable[..., Environment]
Lines = Callable[..., list[str]]

SMTP = {"EMAIL_HOST": "smtp.example.com", "EMAIL_FROM": "gate@example.com"}
SIGNED_IN = {"EMAIL_USERNAME": "gate", "EMAIL_PASSWORD": "hunter2"}


def test_nothing_given_sends_nothing(load_env: Load) -> None:
    assert mail_settings(load_env()) == MailSettings("none", "gatehouse@localhost")


def test_resend_goes_before_smtp(load_env: Load) -> None:
    env = load_env(RESEND_API_KEY="re_1", RESEND_EMAIL="Gate <Gate@example.com>", **SMTP)

    assert mail_settings(env) == MailSettings(
        "resend",
        "Gate <gate@example.com>",
        api_key="re_1",
        api_url="https://api.resend.com",
    )


def test_smtp_by_host(load_env: Load) -> None:
    env = load_env(EMAIL_FROM_NAME="The Gate, Inc.", **SMTP, **SIGNED_IN)

    assert mail_settings(env) == MailSettings(
        "smtp",
        '"The Gate, Inc." <gate@example.com>',
        host="smtp.example.com",
        port=587,
        encryption="starttls",
        username="gate",
        password="hunter2",
    )


@pytest.mark.parametrize(
    ("service", "host", "port", "encryption"),
    [
        ("Gmail", "smtp.gmail.com", 587, "starttls"),
        ("fastmail", "smtp.fastmail.com", 465, "tls"),
        ("Outlook365", "smtp.office365.com", 587, "starttls"),
    ],
)
def test_smtp_by_service(
    load_env: Load, service: str, host: str, port: int, encryption: str
) -> None:
    env = load_env(EMAIL_SERVICE=service, EMAIL_FROM="gate@example.com", **SIGNED_IN)

    mail = mail_settings(env)

    assert (mail.host, mail.port, mail.encryption) == (host, port, encryption)


@pytest.mark.parametrize(("encryption", "port"), [("starttls", 587), ("TLS", 465), ("none", 25)])
def test_the_port_follows_the_encryption(load_env: Load, encryption: str, port: int) -> None:
    assert load_env(EMAIL_ENCRYPTION=encryption, **SMTP)["EMAIL_PORT"] == port


def test_no_secret_is_shown(load_env: Load) -> None:
    smtp = mail_settings(load_env(**SMTP, **SIGNED_IN))
    resend = mail_settings(load_env(RESEND_API_KEY="hunter2", RESEND_EMAIL="gate@example.com"))

    assert "hunter2" not in repr(smtp) + repr(resend)


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        (
            {"RESEND_API_KEY": "re_1"},
            (
                "RESEND_EMAIL: is missing while RESEND_API_KEY is set. Fix: set it to the sender, "
                "for example RESEND_EMAIL=gate@example.com."
            ),
        ),
        (
            {"EMAIL_HOST": "smtp.example.com"},
            (
                "EMAIL_FROM: is missing while EMAIL_HOST is set. Fix: set it to the sender, for "
                "example EMAIL_FROM=gate@example.com."
            ),
        ),
        (
            {**SMTP, "EMAIL_USERNAME": "gate"},
            (
                "EMAIL_PASSWORD: is missing while EMAIL_USERNAME is set. Fix: set it, or remove "
                "EMAIL_USERNAME."
            ),
        ),
        (
            {**SMTP, "EMAIL_PASSWORD": "hunter2"},
            (
                "EMAIL_USERNAME: is missing while EMAIL_PASSWORD is set. Fix: set it, or remove "
                "EMAIL_PASSWORD."
            ),
        ),
        (
            {"EMAIL_SERVICE": "gmail", "EMAIL_FROM": "gate@example.com"},
            (
                "EMAIL_SERVICE: needs EMAIL_USERNAME and EMAIL_PASSWORD, which are missing. Fix: "
                "set both."
            ),
        ),
        (
            {**SMTP, "EMAIL_FROM": "Gate <gate@example.com>, other@example.com"},
            (
                "EMAIL_FROM: 'Gate <gate@example.com>, other@example.com' is not a sender. Fix: "
                "write name@example.com or Name <name@example.com>, for example "
                "EMAIL_FROM=gate@example.com."
            ),
        ),
        (
            {**SMTP, "EMAIL_FROM": "gate@example.com\nBcc: x@example.com"},
            (
                "EMAIL_FROM: holds a line break or another control character. Fix: write one line, "
                "for example EMAIL_FROM=gate@example.com."
            ),
        ),
    ],
)
def test_a_half_told_transport_names_what_is_wrong(
    faults: Lines, environ: dict[str, str], line: str
) -> None:
    assert line in faults(**environ)


def test_a_sample_file_with_a_sender_alone_starts(warnings: Lines) -> None:
    assert warnings("EMAIL_SERVICE=\nEMAIL_HOST=\nEMAIL_PORT=25\nEMAIL_FROM=a@example.com\n") == [
        "EMAIL_FROM: has no effect without EMAIL_HOST or EMAIL_SERVICE. Fix: set one of them."
    ]


def test_mail_without_encryption_is_told(warnings: Lines) -> None:
    assert warnings(EMAIL_ENCRYPTION="none", **SMTP) == [
        (
            "EMAIL_ENCRYPTION: is none, so the mail server's password and links travel in clear. "
            "Fix: write starttls or tls."
        )
    ]
