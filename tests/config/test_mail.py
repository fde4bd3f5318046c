"""Mail settings: which transport, with which values, and what is missing."""

from collections.abc import Callable

import pytest

from config.environment import Environment, MailSettings, mail_settings

Load = Callable[..., Environment]
Lines = Callable[..., list[str]]

SMTP = {"EMAIL_HOST": "smtp.example.com", "EMAIL_FROM": "gate@example.com"}
SIGNED_IN = {"EMAIL_USERNAME": "gate", "EMAIL_PASSWORD": "hunter2"}


def test_without_settings_no_mail_is_sent(load_env: Load) -> None:
    assert mail_settings(load_env()) == MailSettings("none", "gatehouse@localhost")


def test_resend_takes_precedence_over_smtp(load_env: Load) -> None:
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
        encryption="auto",
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


@pytest.mark.parametrize(
    ("environ", "port", "encryption"),
    [
        ({"EMAIL_HOST": "mail.example.com"}, 587, "auto"),
        ({"EMAIL_HOST": "mail.example.com", "EMAIL_PORT": "25"}, 25, "auto"),
        ({"EMAIL_HOST": "mail.example.com", "EMAIL_PORT": "465"}, 465, "tls"),
        ({"EMAIL_SERVICE": "gmail", "EMAIL_PORT": "465"}, 465, "tls"),
        ({"EMAIL_SERVICE": "fastmail", "EMAIL_PORT": "587"}, 587, "starttls"),
        ({"EMAIL_SERVICE": "gmail", "EMAIL_ENCRYPTION": "tls"}, 465, "tls"),
        ({"EMAIL_SERVICE": "gmail", "EMAIL_HOST": "smtp.example.com"}, 587, "starttls"),
        (
            {"EMAIL_HOST": "a.example", "EMAIL_PORT": "465", "EMAIL_ENCRYPTION": "starttls"},
            465,
            "tls",
        ),
        ({"EMAIL_HOST": "a.example", "EMAIL_PORT": "465", "EMAIL_ENCRYPTION": "none"}, 465, "tls"),
    ],
)
def test_port_465_means_tls_from_the_start(
    load_env: Load, environ: dict[str, str], port: int, encryption: str
) -> None:
    mail = mail_settings(load_env(EMAIL_FROM="gate@example.com", **environ, **SIGNED_IN))

    assert (mail.port, mail.encryption) == (port, encryption)


def test_another_encryption_at_port_465_is_a_warning(warnings: Lines) -> None:
    assert warnings(EMAIL_PORT="465", EMAIL_ENCRYPTION="none", **SMTP) == [
        (
            "EMAIL_ENCRYPTION: is none, but port 465 speaks TLS from the start, which is used. "
            "Fix: write tls or remove it, or set EMAIL_PORT=587."
        )
    ]


@pytest.mark.parametrize(
    ("given", "what", "fix"),
    [
        ("smtp://smtp.example.com", "has a scheme", "EMAIL_HOST=smtp.example.com"),
        (
            "smtps://smtp.example.com",
            "has a scheme",
            "EMAIL_HOST=smtp.example.com and EMAIL_PORT=465",
        ),
        (
            "smtp://smtp.example.com:2525/",
            "has a scheme",
            "EMAIL_HOST=smtp.example.com and EMAIL_PORT=2525",
        ),
        ("smtp.example.com:587", "has a port", "EMAIL_HOST=smtp.example.com and EMAIL_PORT=587"),
        ("[2001:db8::1]:25", "has a port", "EMAIL_HOST=[2001:db8::1] and EMAIL_PORT=25"),
        ("smtp.example.com/", "has a path", "EMAIL_HOST=smtp.example.com"),
        (
            "gate@smtp.example.com",
            "contains a user name",
            "EMAIL_HOST=smtp.example.com, and EMAIL_",
        ),
        ("smtp..example.com", "is not a host name", "a name such as smtp.example.com"),
        ("smtp.example.com, b.example", "is not a host name", "a name such as smtp.example.com"),
        (f"{'a' * 64}.example.com", "is not a host name", "a name such as smtp.example.com"),
    ],
)
def test_a_host_must_be_a_plain_name(faults: Lines, given: str, what: str, fix: str) -> None:
    (line,) = faults(EMAIL_HOST=given, EMAIL_FROM="gate@example.com")

    assert line.startswith("EMAIL_HOST: ")
    assert f"{what}. Fix: write {fix}" in line


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("SMTP.Example.com.", "smtp.example.com"),
        ("mail_server", "mail_server"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("smtp.münchen.example", "smtp.xn--mnchen-3ya.example"),
    ],
)
def test_an_international_host_is_converted(load_env: Load, given: str, kept: str) -> None:
    assert load_env(EMAIL_HOST=given, EMAIL_FROM="gate@example.com")["EMAIL_HOST"] == kept


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "localhost"),
        ({"PUBLIC_URL": "https://gate.example.com:8443"}, "gate.example.com"),
        ({"PUBLIC_URL": "http://192.0.2.1:8000"}, "[192.0.2.1]"),
        ({"PUBLIC_URL": "http://[2001:db8::1]"}, "[IPv6:2001:db8::1]"),
        ({"EMAIL_EHLO_NAME": "Mail.example.com"}, "mail.example.com"),
        ({"EMAIL_EHLO_NAME": "[IPv6:2001:DB8::1]"}, "[IPv6:2001:db8::1]"),
    ],
)
def test_the_greeting_uses_the_public_name(
    load_env: Load, environ: dict[str, str], name: str
) -> None:
    assert mail_settings(load_env(**SMTP, **environ)).ehlo_name == name


@pytest.mark.parametrize("given", ["192.0.2.1", "[x]", "a b", "gate.example.com\r\nMAIL"])
def test_an_invalid_greeting_is_rejected(faults: Lines, given: str) -> None:
    (line,) = faults(EMAIL_EHLO_NAME=given, **SMTP)

    assert line.startswith("EMAIL_EHLO_NAME: ")


def test_a_resend_key_that_is_no_header_value_is_rejected(faults: Lines) -> None:
    (line,) = faults(RESEND_API_KEY="schlüssel€", RESEND_EMAIL="gate@example.com")

    assert line.startswith("RESEND_API_KEY: contains characters that no key of Resend has. Fix: ")
    assert "schl" not in line


@pytest.mark.parametrize(
    ("encryption", "port"), [("starttls", 587), ("TLS", 465), ("none", 25), ("auto", 587)]
)
def test_the_port_follows_the_encryption(load_env: Load, encryption: str, port: int) -> None:
    assert load_env(EMAIL_ENCRYPTION=encryption, **SMTP)["EMAIL_PORT"] == port


def test_no_secret_is_in_the_repr(load_env: Load) -> None:
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
                "EMAIL_FROM: contains a line break or another control character. Fix: write one "
                "line, for example EMAIL_FROM=gate@example.com."
            ),
        ),
    ],
)
def test_an_incomplete_transport_names_what_is_missing(
    faults: Lines, environ: dict[str, str], line: str
) -> None:
    assert line in faults(**environ)


def test_a_sample_file_with_only_a_sender_starts(warnings: Lines) -> None:
    assert warnings("EMAIL_SERVICE=\nEMAIL_HOST=\nEMAIL_PORT=25\nEMAIL_FROM=a@example.com\n") == [
        "EMAIL_FROM: has no effect without EMAIL_HOST or EMAIL_SERVICE. Fix: set one of them."
    ]


def test_mail_without_encryption_is_a_warning(warnings: Lines) -> None:
    assert warnings(EMAIL_ENCRYPTION="none", **SMTP) == [
        (
            "EMAIL_ENCRYPTION: is none, so links and the password of the mail server are sent "
            "unencrypted. Fix: write starttls or tls."
        )
    ]
