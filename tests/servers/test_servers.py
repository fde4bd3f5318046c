"""The test servers work as documented."""

import json
import smtplib
import urllib.request
from collections.abc import Callable
from email.message import EmailMessage
from urllib.error import HTTPError

import pytest
from playwright.sync_api import Page
from psycopg import sql

from devtools.servers.databases import InstanceData, PostgresServer
from devtools.servers.gatehouse import Gatehouse
from tests.servers.mail import HANG_UP, ResendServer, SMTPServer
from tests.servers.race import RaceRequest, Racers


def test_postgres_answers(postgres_server: PostgresServer) -> None:
    assert postgres_server.execute(sql.SQL("SELECT 1")) == [(1,)]


def _send(server: SMTPServer) -> None:
    message = EmailMessage()
    message["Subject"] = "Grüße"
    message.set_content("one\n.two\n")
    with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as connection:
        connection.send_message(message, "a@example.com", ["b@example.com"])


def test_smtp_server_keeps_the_mail_as_it_was_sent(smtp_server: SMTPServer) -> None:
    _send(smtp_server)

    (mail,) = smtp_server.mails
    assert (mail.sender, mail.recipients) == ("a@example.com", ("b@example.com",))
    assert mail.message["Subject"] == "Grüße"
    assert mail.message.get_content().splitlines() == ["one", ".two"]


def test_smtp_server_fails_as_configured_and_then_works(smtp_server: SMTPServer) -> None:
    smtp_server.fail_with(451)
    smtp_server.fail_with(HANG_UP)

    with pytest.raises(smtplib.SMTPDataError) as problem:
        _send(smtp_server)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        _send(smtp_server)
    _send(smtp_server)

    assert problem.value.smtp_code == 451
    assert len(smtp_server.mails) == 1


def _post_mail(server: ResendServer, key: str) -> dict[str, str]:
    request = urllib.request.Request(
        f"{server.url}/emails",
        json.dumps({"to": ["b@example.com"]}).encode(),
        {"Idempotency-Key": key, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def test_resend_server_keeps_the_idempotency_key(resend_server: ResendServer) -> None:
    assert _post_mail(resend_server, "key-1") == _post_mail(resend_server, "key-1")

    assert [seen.headers["idempotency-key"] for seen in resend_server.requests] == ["key-1"] * 2
    assert resend_server.requests[0].body == {"to": ["b@example.com"]}
    assert resend_server.delivered == 1


def test_resend_server_fails_as_configured(resend_server: ResendServer) -> None:
    resend_server.fail_with(429)

    with pytest.raises(HTTPError) as problem:
        _post_mail(resend_server, "key-2")

    assert problem.value.code == 429
    problem.value.close()
    assert resend_server.delivered == 0


@pytest.mark.browser
def test_browser_opens_a_page(page: Page) -> None:
    page.goto("about:blank")

    assert page.url == "about:blank"


def test_gatehouse_runs_in_two_processes_over_one_database(
    any_data: InstanceData, gatehouse_server: Callable[..., Gatehouse]
) -> None:
    gatehouse = gatehouse_server(any_data, processes=2)

    answers = [gatehouse.client(process).get("/health/ready") for process in (0, 1)]

    assert [answer.status for answer in answers] == [200, 200]
    assert any_data.shell(
        "from accounts.models import User; result = User.objects.count()"
    ) == any_data.shell("result = 0")


def test_racers_all_reach_the_server(
    sqlite_data: InstanceData, gatehouse_server: Callable[..., Gatehouse], racers: Racers
) -> None:
    gatehouse = gatehouse_server(sqlite_data, processes=2)

    answers = racers.run(
        [RaceRequest(gatehouse.urls[number % 2], "GET", "/health/live") for number in range(32)]
    )

    assert [answer.status for answer in answers] == [200] * 32
