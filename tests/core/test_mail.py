"""The transports against real servers: Resend's protocol and SMTP."""

import base64
import dataclasses
from pathlib import Path

import pytest

from devtools.servers.processes import free_port
from mail import smtp
from mail.conf import MailSettings
from mail.outbox import MailFailed, Message
from mail.resend_transport import ResendTransport
from mail.transports import SMTPTransport, transport
from tests.servers.mail import HANG_UP, MailCertificate, ResendServer, SMTPServer

MESSAGE = Message("018f-mail-id", "anna@example.com", "Grüße\u2028X", "Hello\n", "<p>Hello</p>")
KEY = "key-of-the-test"
PASSWORD = "pässwort€"
SIGNED_IN = {"username": "gäte", "password": PASSWORD}


def by_resend(server: ResendServer) -> ResendTransport:
    return ResendTransport(MailSettings("resend", "Gate <gate@example.com>", KEY, server.url))


def by_smtp(server: SMTPServer, **more: str) -> SMTPTransport:
    values = {"host": "127.0.0.1", "port": server.port, "encryption": "none", **more}
    return SMTPTransport(MailSettings("smtp", "Gate <gate@example.com>", **values))  # type: ignore[arg-type]


def test_resend_gets_the_mail_with_its_id_as_idempotency_key(resend_server: ResendServer) -> None:
    sender = by_resend(resend_server)

    sender.send(MESSAGE)
    sender.send(MESSAGE)

    first = resend_server.requests[0]
    assert first.path == "/emails"
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert first.headers["idempotency-key"] == "018f-mail-id"
    assert first.body == {
        "from": "Gate <gate@example.com>",
        "to": ["anna@example.com"],
        "subject": "Grüße\u2028X",
        "text": "Hello\n",
        "html": "<p>Hello</p>",
    }
    assert (len(resend_server.requests), resend_server.delivered) == (2, 1)


@pytest.mark.parametrize(
    ("status", "is_permanent"),
    [(422, False), (429, False), (500, False), (302, False), (HANG_UP, False)],
)
def test_resend_rejections_are_classified(
    resend_server: ResendServer, status: int, is_permanent: bool
) -> None:
    resend_server.fail_with(status)

    with pytest.raises(MailFailed) as failure:
        by_resend(resend_server).send(MESSAGE)

    assert failure.value.is_permanent is is_permanent
    assert KEY not in str(failure.value)
    assert resend_server.delivered == 0


def test_smtp_mail_has_text_html_and_headers(smtp_server: SMTPServer) -> None:
    by_smtp(smtp_server, username="gate", password="a secret").send(
        dataclasses.replace(MESSAGE, subject="Grüße")
    )

    (received,) = smtp_server.mails
    assert (received.sender, received.recipients) == ("gate@example.com", ("anna@example.com",))
    assert received.message["Subject"] == "Grüße"
    assert received.message["From"] == "Gate <gate@example.com>"
    assert received.message["Message-ID"] == "<018f-mail-id@localhost>"
    assert received.message["Auto-Submitted"] == "auto-generated"
    kinds = [part.get_content_type() for part in received.message.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]
    assert len(smtp_server.credentials) == 1


@pytest.mark.parametrize(
    ("status", "name", "message", "is_permanent", "fix"),
    [
        (
            422,
            "validation_error",
            "Invalid `to` field. The email address needs to follow the",
            True,
            "",
        ),
        (400, "validation_error", "Invalid recipient address", True, ""),
        (422, "invalid_from_address", "Invalid from field.", False, "Set RESEND_EMAIL"),
        (422, "validation_error", "Invalid `from` field. The email", False, "Set RESEND_EMAIL"),
        (
            400,
            "validation_error",
            "The example.org domain is not verified.",
            False,
            "Set RESEND_EMAIL",
        ),
        (
            403,
            "validation_error",
            "You can only send testing emails to your own address. To others verify a domain",
            False,
            "Set RESEND_EMAIL",
        ),
        (401, "missing_api_key", "Missing API key", False, "Correct RESEND_API_KEY"),
        (403, "invalid_api_key", "API key is invalid", False, "Correct RESEND_API_KEY"),
        (400, "validation_error", "API key is invalid", False, "Correct RESEND_API_KEY"),
        (429, "daily_quota_exceeded", "You have reached", False, "The sending limit at Resend"),
    ],
)
def test_resend_gives_up_only_for_a_rejected_recipient(
    resend_server: ResendServer,
    status: int,
    name: str,
    message: str,
    is_permanent: bool,
    fix: str,
) -> None:
    resend_server.error_name, resend_server.error_message = name, message
    resend_server.fail_with(status)

    with pytest.raises(MailFailed) as failure:
        by_resend(resend_server).send(MESSAGE)

    assert failure.value.is_permanent is is_permanent
    assert failure.value.waits_for_fix is not is_permanent
    assert failure.value.fix.startswith(fix)
    assert message[:20] in failure.value.reason


def test_an_echoed_resend_key_is_never_shown(resend_server: ResendServer) -> None:
    resend_server.error_message = f"API key {KEY} is invalid"
    resend_server.fail_with(401)

    found = by_resend(resend_server).examine(MESSAGE)

    assert found.failure is not None
    assert KEY not in f"{found.dialogue}{found.failure}"


def test_a_key_that_is_no_header_value_is_a_failure(resend_server: ResendServer) -> None:
    settings = MailSettings("resend", "gate@example.com", "schlüssel€", resend_server.url)

    with pytest.raises(MailFailed) as failure:
        ResendTransport(settings).send(MESSAGE)

    assert "schl" not in str(failure.value)


@pytest.mark.parametrize(
    ("kind", "fix"), [("right", ""), ("sending", ""), ("wrong", "Correct RESEND_API_KEY.")]
)
def test_doctor_checks_the_resend_key(resend_server: ResendServer, kind: str, fix: str) -> None:
    resend_server.sending_keys |= {KEY} if kind == "sending" else set()
    resend_server.wrong_keys |= {KEY} if kind == "wrong" else set()

    found = by_resend(resend_server).examine()

    assert (found.failure.fix if found.failure else "") == fix
    assert KEY not in str(found.dialogue)
    assert resend_server.requests == []


@pytest.mark.parametrize(("status", "is_permanent"), [(550, False), (451, False), (HANG_UP, False)])
def test_smtp_rejections_are_classified(
    smtp_server: SMTPServer, status: int, is_permanent: bool
) -> None:
    smtp_server.fail_with(status)

    with pytest.raises(MailFailed) as failure:
        by_smtp(smtp_server).send(MESSAGE)

    assert failure.value.is_permanent is is_permanent
    assert smtp_server.mails == []


def test_an_unreachable_server_is_retried() -> None:
    closed_port = free_port()
    settings = MailSettings("smtp", host="127.0.0.1", port=closed_port, encryption="none")

    with pytest.raises(MailFailed) as smtp:
        SMTPTransport(settings).send(MESSAGE)
    with pytest.raises(MailFailed) as resend:
        ResendTransport(
            MailSettings("resend", api_key=KEY, api_url=f"http://127.0.0.1:{closed_port}")
        ).send(MESSAGE)

    assert (smtp.value.is_permanent, resend.value.is_permanent) == (False, False)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2 LOGIN PLAIN"])
def test_credentials_travel_as_utf_8(smtp_server: SMTPServer, mechanism: str) -> None:
    smtp_server.conduct.mechanisms = mechanism
    smtp_server.conduct.users = {"gäte": PASSWORD}

    by_smtp(smtp_server, **SIGNED_IN).send(MESSAGE)

    assert len(smtp_server.mails) == 1
    assert smtp_server.signed_in[-1][1:] == ("gäte", PASSWORD)


def test_the_next_authentication_method_is_tried_after_a_failure(smtp_server: SMTPServer) -> None:
    smtp_server.conduct.mechanisms = "CRAM-MD5 PLAIN"
    smtp_server.conduct.replies["AUTH"] = "535 5.7.8 no"

    found = by_smtp(smtp_server, **SIGNED_IN).examine(MESSAGE)

    assert found.failure is not None
    tries = [rest.partition(" ")[0] for verb, rest in smtp_server.commands if verb == "AUTH"]
    assert tries == ["CRAM-MD5", "PLAIN"]
    assert found.failure.fix.startswith("Correct EMAIL_USERNAME and EMAIL_PASSWORD.")
    assert (found.failure.waits_for_fix, found.failure.is_permanent) == (True, False)


REFUSED_RECIPIENTS = [
    ("RCPT", "550 5.1.1 <anna@example.com>: Recipient address rejected: User unknown"),
    ("RCPT", "550 No such user here"),
    ("RCPT", "553 mailbox name not allowed"),
    ("RCPT", "550 5.2.1 The email account that you tried to reach is disabled"),
    ("RCPT", "552 5.2.2 <anna@example.com>: over quota"),
    ("RCPT", "554 5.7.1 <anna@example.com>: Recipient address rejected: Access denied"),
    ("RCPT", "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)"),
    ("RCPT", "550 5.1.1 <relay.sender@example.com> unknown to sender.example.com"),
    ("RCPT", "556 5.1.10 Recipient address has null MX"),
    ("RCPT", "550 5.5.0 Requested action not taken: mailbox unavailable"),
    ("RCPT", "501 5.1.3 Bad recipient address syntax"),
    ("CONTENT", "550-5.1.1 The email account that you tried to reach does not exist.\r\n550 bye"),
]
TO_BE_MENDED = [
    ("EHLO", "504 5.5.2 <localhost>: Helo command rejected: need FQDN", "Set EMAIL_EHLO_NAME"),
    ("EHLO", "550 Access denied - Invalid EHLO name", "Set EMAIL_EHLO_NAME"),
    ("RCPT", "504 5.5.2 <x>: Helo command rejected: need fully-qualified", "Set EMAIL_EHLO_NAME"),
    ("MAIL", "553 5.7.1 <gate@example.com>: not owned by user gate", "Set EMAIL_FROM"),
    ("MAIL", "550 5.1.8 Domain of sender address does not resolve", "Set EMAIL_FROM"),
    ("RCPT", "553 5.7.1 Sender address rejected: not owned by user gate", "Set EMAIL_FROM"),
    ("RCPT", "550 5.1.0 Sender address rejected: User unknown in local table", "Set EMAIL_FROM"),
    (
        "CONTENT",
        "550 5.7.60 Client does not have permissions to send as this sender",
        "Set EMAIL_FROM",
    ),
    ("RCPT", "554 5.7.1 <anna@example.com>: Relay access denied", "Set EMAIL_USERNAME"),
    ("RCPT", "550 relay not permitted", "Set EMAIL_USERNAME"),
    (
        "RCPT",
        "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
        "Set EMAIL_USERNAME",
    ),
    ("MAIL", "530 5.7.0 Authentication required", "Set EMAIL_USERNAME"),
    ("MAIL", "550 5.4.5 Daily user sending limit exceeded.", "The sending limit"),
    ("CONTENT", "550 5.4.5 Daily sending quota exceeded.", "The sending limit"),
    (
        "RCPT",
        "554 5.7.1 Client host [192.5.1.1] blocked using zen.spamhaus.org",
        "The mail server refuses",
    ),
    ("RCPT", "554 no", "The mail server refuses"),
    ("CONTENT", "554 5.7.1 Message rejected as spam", "The mail server refuses"),
    ("CONTENT", "550 no", "The mail server refuses"),
    ("HELLO", "554 no SMTP service here", "The mail server refuses"),
]


@pytest.mark.parametrize(("verb", "reply"), REFUSED_RECIPIENTS)
def test_a_rejected_recipient_is_given_up(smtp_server: SMTPServer, verb: str, reply: str) -> None:
    smtp_server.conduct.replies[verb] = reply

    with pytest.raises(MailFailed) as failure:
        by_smtp(smtp_server).send(MESSAGE)

    assert (failure.value.is_permanent, failure.value.fix) == (True, "")


@pytest.mark.parametrize(("verb", "reply", "fix"), TO_BE_MENDED)
def test_a_failure_for_the_administrator_waits_and_names_the_fix(
    smtp_server: SMTPServer, verb: str, reply: str, fix: str
) -> None:
    smtp_server.conduct.replies[verb] = reply

    with pytest.raises(MailFailed) as failure:
        by_smtp(smtp_server).send(MESSAGE)

    assert (failure.value.is_permanent, failure.value.waits_for_fix) == (False, True)
    assert failure.value.fix.startswith(fix)
    assert str(failure.value) == f"{failure.value.fix} {failure.value.reason}"
    assert reply[:3] in failure.value.reason


@pytest.mark.parametrize("verb", ["EHLO", "MAIL", "RCPT", "CONTENT"])
def test_a_temporary_rejection_is_retried(smtp_server: SMTPServer, verb: str) -> None:
    smtp_server.conduct.replies[verb] = "451 4.7.1 Greylisted"

    with pytest.raises(MailFailed) as failure:
        by_smtp(smtp_server).send(MESSAGE)

    assert (failure.value.is_permanent, failure.value.waits_for_fix) == (False, False)


def test_the_configured_name_is_used_as_greeting(smtp_server: SMTPServer) -> None:
    by_smtp(smtp_server, ehlo_name="gate.example.com").send(MESSAGE)

    assert smtp_server.names == ["gate.example.com"]


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MailCertificate:
    """One that this process trusts, for 127.0.0.1."""
    found = MailCertificate(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(found.path))
    return found


@pytest.mark.parametrize("encryption", ["auto", "starttls"])
def test_starttls_happens_before_authentication(
    smtp_server: SMTPServer, certificate: MailCertificate, encryption: str
) -> None:
    smtp_server.conduct.tls = certificate.context

    by_smtp(smtp_server, encryption=encryption, **SIGNED_IN).send(MESSAGE)

    assert len(smtp_server.mails) == 1
    assert smtp_server.encrypted == [True]


def test_tls_from_the_start(smtp_server: SMTPServer, certificate: MailCertificate) -> None:
    smtp_server.conduct.tls = certificate.context
    smtp_server.conduct.from_the_start = True

    by_smtp(smtp_server, encryption="tls", **SIGNED_IN).send(MESSAGE)

    assert len(smtp_server.mails) == 1
    assert ("STARTTLS", "") not in smtp_server.commands


def test_auto_without_starttls_sends_mail_but_no_password(smtp_server: SMTPServer) -> None:
    by_smtp(smtp_server, encryption="auto").send(MESSAGE)
    with pytest.raises(MailFailed, match="is not sent in clear") as failure:
        by_smtp(smtp_server, encryption="auto", **SIGNED_IN).send(MESSAGE)

    assert (failure.value.waits_for_fix, len(smtp_server.mails)) == (True, 1)
    assert smtp_server.credentials == []


def test_starttls_is_required_if_configured(smtp_server: SMTPServer) -> None:
    with pytest.raises(MailFailed, match="does not offer STARTTLS") as failure:
        by_smtp(smtp_server, encryption="starttls").send(MESSAGE)

    assert (failure.value.waits_for_fix, smtp_server.mails) == (True, [])


@pytest.mark.parametrize("encryption", ["auto", "starttls"])
def test_a_rejected_starttls_sends_nothing(
    smtp_server: SMTPServer, certificate: MailCertificate, encryption: str
) -> None:
    smtp_server.conduct.tls = certificate.context
    smtp_server.conduct.replies["STARTTLS"] = "502 not now"

    with pytest.raises(MailFailed):
        by_smtp(smtp_server, encryption=encryption, **SIGNED_IN).send(MESSAGE)

    assert (smtp_server.mails, smtp_server.credentials) == ([], [])


def test_data_injected_before_tls_is_not_trusted(
    smtp_server: SMTPServer, certificate: MailCertificate
) -> None:
    smtp_server.conduct.tls = certificate.context
    smtp_server.conduct.slips_in = "\r\n250-evil\r\n250 AUTH CRAM-MD5"

    found = by_smtp(smtp_server, encryption="starttls", **SIGNED_IN).examine(MESSAGE)

    assert found.failure is None
    assert [name for name, _user, _password in smtp_server.signed_in] == ["PLAIN"]
    assert "evil" not in str(found.dialogue)


@pytest.mark.parametrize("encryption", ["auto", "starttls", "tls"])
def test_a_certificate_for_another_name_is_refused(
    smtp_server: SMTPServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    encryption: str,
) -> None:
    other = MailCertificate(tmp_path, "mail.example.com")
    monkeypatch.setenv("SSL_CERT_FILE", str(other.path))
    smtp_server.conduct.tls = other.context
    smtp_server.conduct.from_the_start = encryption == "tls"

    with pytest.raises(MailFailed, match="certificate") as failure:
        by_smtp(smtp_server, encryption=encryption, **SIGNED_IN).send(MESSAGE)

    assert failure.value.waits_for_fix is True
    assert (smtp_server.mails, smtp_server.credentials) == ([], [])


def test_an_unverified_certificate_is_accepted_if_configured(
    smtp_server: SMTPServer, tmp_path: Path
) -> None:
    smtp_server.conduct.tls = MailCertificate(tmp_path, "mail.example.com").context
    values = {"host": "127.0.0.1", "port": smtp_server.port, "encryption": "starttls"}
    settings = MailSettings("smtp", "gate@example.com", allow_selfsigned=True, **values)  # type: ignore[arg-type]

    SMTPTransport(settings).send(MESSAGE)

    assert len(smtp_server.mails) == 1


def test_tls_at_a_plain_port_names_the_setting(smtp_server: SMTPServer) -> None:
    with pytest.raises(MailFailed) as failure:
        by_smtp(smtp_server, encryption="tls").send(MESSAGE)

    assert failure.value.fix.startswith("This port does not speak TLS from the start")


def test_an_echoed_password_is_never_shown(smtp_server: SMTPServer) -> None:
    plain = base64.b64encode(f"\0gäte\0{PASSWORD}".encode()).decode()
    alone = base64.b64encode(PASSWORD.encode()).decode()
    smtp_server.conduct.replies["AUTH"] = f"535 no: {PASSWORD} {plain} {alone}"

    found = by_smtp(smtp_server, **SIGNED_IN).examine(MESSAGE)

    shown = f"{found.dialogue} {found.failure} {found.failure!r}"
    assert "> AUTH PLAIN •••" in found.dialogue
    assert not [secret for secret in (PASSWORD, plain, alone) if secret in shown]


def test_an_echoed_link_is_never_shown(smtp_server: SMTPServer) -> None:
    link = "http://localhost:8000/magic-link/secret-of-the-test"
    smtp_server.conduct.replies["CONTENT"] = f"554 5.7.1 {link} is on a block list"

    with pytest.raises(MailFailed) as failure:
        by_smtp(smtp_server).send(MESSAGE)

    assert "secret-of-the-test" not in str(failure.value)


@pytest.mark.parametrize("verb", ["HELLO", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT"])
@pytest.mark.parametrize("reply", [None, "", "garbage", "99999 x", "250-never ended\r\n\0\udce4"])
def test_every_invalid_response_is_a_failure(
    smtp_server: SMTPServer, monkeypatch: pytest.MonkeyPatch, verb: str, reply: str | None
) -> None:
    monkeypatch.setattr(smtp, "TIMEOUT_SECONDS", 0.2)
    text = reply.encode("utf-8", "replace").decode() if reply else reply
    smtp_server.conduct.replies[verb] = text

    with pytest.raises(MailFailed) as failure:
        by_smtp(smtp_server).send(MESSAGE)

    assert failure.value.is_permanent is False
    assert smtp_server.mails == []


def test_an_endless_reply_is_truncated(smtp_server: SMTPServer) -> None:
    smtp_server.conduct.endless = "EHLO"

    with pytest.raises(MailFailed, match="replies are too long"):
        by_smtp(smtp_server).send(MESSAGE)


def test_a_conversation_has_a_time_limit(
    smtp_server: SMTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "DEADLINE_SECONDS", -1.0)

    with pytest.raises(MailFailed, match="timed out"):
        by_smtp(smtp_server).send(MESSAGE)

    assert smtp_server.mails == []


@pytest.mark.parametrize("host", ["smtp..example.com", "a" * 64 + ".example.com", "x\0y", ".", ""])
def test_an_invalid_host_is_a_failure(host: str) -> None:
    settings = MailSettings("smtp", "gate@example.com", host=host, port=25)

    with pytest.raises(MailFailed) as failure:
        SMTPTransport(settings).send(MESSAGE)

    assert (failure.value.is_permanent, failure.value.waits_for_fix) == (False, False)


def test_mail_content_cannot_inject_smtp_commands(smtp_server: SMTPServer) -> None:
    text = "one\n.\nMAIL FROM:<evil@example.com>\r.\rthree\n"

    by_smtp(smtp_server).send(dataclasses.replace(MESSAGE, text=text))

    (received,) = smtp_server.mails
    body = received.message.get_body(("plain",)).get_content()
    assert body.splitlines() == ["one", ".", "MAIL FROM:<evil@example.com>", ".", "three"]


@pytest.mark.parametrize(
    ("name", "kind"), [("resend", ResendTransport), ("smtp", SMTPTransport), ("none", type(None))]
)
def test_the_settings_choose_the_transport(settings, name: str, kind: type) -> None:
    settings.MAIL = MailSettings(name)  # type: ignore[arg-type]

    assert type(transport()) is kind
