"""The transports against real servers: Resend's protocol and SMTP."""

import dataclasses

import pytest

from accounts.outbox import MailFailed, Message
from config import mail
from config.env.mailing import MailSettings
from config.mail import ResendTransport, SMTPTransport, transport
from tests.servers.mail import HANG_UP, ResendServer, SMTPServer
from tests.servers.processes import free_port

MESSAGE = Message("018f-mail-id", "anna@example.com", "Grüße\u2028X", "Hello\n", "<p>Hello</p>")
KEY = "key-of-the-test"


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
    ("status", "is_permanent"), [(422, True), (429, False), (500, False), (HANG_UP, False)]
)
def test_resend_refusals_are_told_apart(
    resend_server: ResendServer, status: int, is_permanent: bool
) -> None:
    resend_server.fail_with(status)

    with pytest.raises(MailFailed) as failure:
        by_resend(resend_server).send(MESSAGE)

    assert failure.value.is_permanent is is_permanent
    assert KEY not in str(failure.value)
    assert resend_server.delivered == 0


def test_smtp_gets_both_forms_and_headers(smtp_server: SMTPServer) -> None:
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


@pytest.mark.parametrize(("status", "is_permanent"), [(550, True), (451, False), (HANG_UP, False)])
def test_smtp_refusals_are_told_apart(
    smtp_server: SMTPServer, status: int, is_permanent: bool
) -> None:
    smtp_server.fail_with(status)

    with pytest.raises(MailFailed) as failure:
        by_smtp(smtp_server).send(MESSAGE)

    assert failure.value.is_permanent is is_permanent
    assert smtp_server.mails == []


def test_a_server_that_is_not_there_is_a_failure_to_be_tried_again() -> None:
    nobody = free_port()
    settings = MailSettings("smtp", host="127.0.0.1", port=nobody, encryption="none")

    with pytest.raises(MailFailed) as smtp:
        SMTPTransport(settings).send(MESSAGE)
    with pytest.raises(MailFailed) as resend:
        ResendTransport(
            MailSettings("resend", api_key=KEY, api_url=f"http://127.0.0.1:{nobody}")
        ).send(MESSAGE)

    assert (smtp.value.is_permanent, resend.value.is_permanent) == (False, False)


def test_a_refused_sign_in_at_the_mail_server_waits_for_the_operator() -> None:
    assert mail._smtp_failure(535, b"bad password").is_permanent is False


@pytest.mark.parametrize(
    ("name", "kind"), [("resend", ResendTransport), ("smtp", SMTPTransport), ("none", type(None))]
)
def test_the_settings_choose_the_transport(settings, name: str, kind: type) -> None:
    settings.MAIL = MailSettings(name)  # type: ignore[arg-type]

    assert type(transport()) is kind
