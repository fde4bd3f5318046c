"""A test mail by admin, command and API: the dialogue, the error, no secret."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import User
from audit.models import AuditEvent
from devtools.servers.processes import free_port
from mail.conf import MailSettings
from mail.models import OutboxMail
from tests.api.keys import made
from tests.conftest import PASSWORD as ACCOUNT_PASSWORD
from tests.servers.mail import ResendServer, SMTPServer

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
PAGE = "/admin/mail/outboxmail/test/"
API = "/api/v1/mail/test"
PASSWORD = "pässwort€"


@pytest.fixture
def server(settings: Settings, smtp_server: SMTPServer) -> SMTPServer:
    """The mail server of the settings, which asks for a password."""
    settings.MAIL_TRANSPORT = "mail.transports.transport"
    smtp_server.conduct.users = {"gate": PASSWORD}
    settings.MAIL = MailSettings(
        "smtp",
        "gate@example.com",
        host="127.0.0.1",
        port=smtp_server.port,
        encryption="none",
        username="gate",
        password=PASSWORD,
        ehlo_name="gate.example.com",
    )
    return smtp_server


def events() -> list[tuple[Any, str]]:
    found = AuditEvent.objects.filter(action="mail:test:send").order_by("seq")
    return list(found.values_list("actor_id", "result"))


def test_the_command_shows_the_dialogue(
    server: SMTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("testmail", "anna@münchen.example")

    printed = capsys.readouterr().out
    assert "> EHLO gate.example.com\n< 250 sink\n< 250 8BITMIME\n" in printed
    assert "> AUTH PLAIN •••\n< 235 welcome\n" in printed
    assert "> RCPT TO:<anna@xn--mnchen-3ya.example>\n< 250 ok\n" in printed
    assert printed.endswith("accepted the mail to anna@xn--mnchen-3ya.example.\n")
    assert PASSWORD not in printed
    (mail,) = server.mails
    assert mail.message["Subject"] == "Test mail from Gatehouse"
    assert events() == [(None, "success")]
    assert OutboxMail.objects.count() == 0


def test_the_command_fails_with_the_refusal_and_the_fix(
    server: SMTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.conduct.replies["RCPT"] = "554 5.7.1 <anna@example.com>: Relay access denied"

    with pytest.raises(CommandError, match="Relay access denied Let the mail server relay"):
        call_command("testmail", "anna@example.com")

    assert "< 554 5.7.1 <anna@example.com>: Relay access denied\n" in capsys.readouterr().out
    assert (server.mails, events()) == ([], [(None, "failure")])


@pytest.mark.parametrize("address", ["", "anna", "a@b\r\nRCPT TO:<c@d>"])
def test_an_invalid_address_sends_nothing(server: SMTPServer, address: str) -> None:
    with pytest.raises(CommandError, match="Enter one email address"):
        call_command("testmail", address)

    assert (server.commands, events()) == ([], [])


def test_without_a_mail_service_the_fix_is_shown(settings: Settings) -> None:
    settings.MAIL_TRANSPORT = "mail.transports.transport"
    settings.MAIL = MailSettings()

    with pytest.raises(CommandError, match=r"No mail service is configured. Set RESEND_API_KEY"):
        call_command("testmail", "anna@example.com")


def test_an_unreachable_server_is_reported(settings: Settings) -> None:
    settings.MAIL_TRANSPORT = "mail.transports.transport"
    settings.MAIL = MailSettings("smtp", "gate@example.com", host="127.0.0.1", port=free_port())

    with pytest.raises(CommandError, match=r"ConnectionRefusedError.*Check EMAIL_HOST"):
        call_command("testmail", "anna@example.com")


def test_resend_accepts_a_test_mail(
    settings: Settings, resend_server: ResendServer, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.MAIL_TRANSPORT = "mail.transports.transport"
    settings.MAIL = MailSettings("resend", "gate@example.com", "re_key", resend_server.url)

    call_command("testmail", "anna@example.com")
    resend_server.error_message = "The example.com domain is not verified: re_key"
    resend_server.fail_with(403)
    with pytest.raises(CommandError, match="Set RESEND_EMAIL to an address of a domain"):
        call_command("testmail", "anna@example.com")

    assert resend_server.delivered == 1
    assert "re_key" not in capsys.readouterr().out


def test_a_successful_test_mail_makes_waiting_mails_due(server: SMTPServer) -> None:
    later = timezone.now() + timedelta(hours=1)
    mail = OutboxMail.objects.create(
        recipient="a@example.com", kind="magic-link", subject="x", next_attempt_at=later
    )

    call_command("testmail", "anna@example.com")

    mail.refresh_from_db()
    assert mail.next_attempt_at <= timezone.now()


def test_the_admin_sends_a_test_mail_and_shows_the_dialogue(
    server: SMTPServer, admin: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(admin)

    listed = browser.get("/admin/mail/outboxmail/").content.decode()
    asked = browser.get(PAGE).content.decode()
    sent = browser.post(PAGE, {"email": "anna@example.com"})

    assert f'href="{PAGE}"' in listed
    assert f'value="{admin.email}"' in asked
    assert sent.status_code == 200
    assert "The mail service has taken the mail to anna@example.com." in sent.content.decode()
    assert "&gt; AUTH PLAIN •••" in sent.content.decode()
    assert PASSWORD not in sent.content.decode()
    assert (len(server.mails), events()) == (1, [(admin.pk, "success")])


def test_the_admin_escapes_the_error_of_the_server(
    server: SMTPServer, owner: User, browser_of: BrowserOf
) -> None:
    server.conduct.replies["MAIL"] = "553 5.7.1 <script>alert(1)</script> not owned by user"

    page = browser_of(owner).post(PAGE, {"email": "anna@example.com"}).content.decode()

    assert "The mail to anna@example.com was not sent." in page
    assert "Set EMAIL_FROM to an address that the mail server lets this account send from." in page
    assert "<script>alert(1)" not in page


@pytest.mark.parametrize("email", ["", "anna"])
def test_the_admin_reports_an_invalid_address(
    server: SMTPServer, admin: User, browser_of: BrowserOf, email: str
) -> None:
    page = browser_of(admin).post(PAGE, {"email": email})

    assert "errorlist" in page.content.decode()
    assert server.commands == []


@pytest.mark.parametrize("role", ["editor", "viewer"])
def test_only_administrators_send_test_mails(
    server: SMTPServer, make_user: Callable[..., User], browser_of: BrowserOf, role: str
) -> None:
    user = make_user(role)

    assert browser_of(user).post(PAGE, {"email": user.email}).status_code == 403
    answer = Client().post(
        API,
        {"email": user.email},
        content_type="application/json",
        headers={"x-api-key": made(user).text},
    )
    assert answer.status_code == 403
    assert (server.commands, events()) == ([], [])


def api_token(user: User) -> str:
    answer = Client().post(
        "/api/v1/auth/token",
        {"email": user.email, "password": ACCOUNT_PASSWORD},
        content_type="application/json",
    )
    return str(answer.json()["access"])


def test_the_api_sends_a_test_mail(server: SMTPServer, admin: User) -> None:
    headers = {"authorization": f"Bearer {api_token(admin)}"}
    api = Client(headers=headers)

    sent = api.post(API, {"email": "anna@example.com"}, content_type="application/json")
    server.conduct.users = {"gate": "another"}
    refused = api.post(API, {"email": "anna@example.com"}, content_type="application/json")
    wrong = api.post(API, {"email": "anna"}, content_type="application/json")

    assert (sent.status_code, sent.json()["is_sent"], sent.json()["reason"]) == (200, True, "")
    assert (refused.status_code, refused.json()["is_sent"]) == (200, False)
    assert refused.json()["reason"] == "SMTP: 535 5.7.8 bad credentials"
    assert refused.json()["fix"].startswith("Correct EMAIL_USERNAME and EMAIL_PASSWORD.")
    assert "< 535 5.7.8 bad credentials" in refused.json()["dialogue"]
    assert (wrong.status_code, list(wrong.json()["errors"])) == (402, ["email"])
    assert PASSWORD not in f"{sent.content.decode()}{refused.content.decode()}"
    assert events() == [(admin.pk, "success"), (admin.pk, "failure")]
    assert Client().post(API, {"email": "anna@example.com"}).status_code == 401


def test_a_user_sends_at_most_ten_in_ten_minutes(
    server: SMTPServer, admin: User, owner: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(admin)

    answers = [browser.post(PAGE, {"email": "a@example.com"}).status_code for _turn in range(11)]

    assert answers == [200] * 10 + [429]
    assert len(server.mails) == 10
    assert browser_of(owner).post(PAGE, {"email": "a@example.com"}).status_code == 200
