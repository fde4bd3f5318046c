"""Whether mail is failing, and where administrators and programs read it."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.invitations import invite
from mail.models import OutboxMail
from mail.outage import current_outage
from mail.outbox import MailFailed, deliver_due, enqueue_mail
from tests.accounts import test_outbox
from tests.accounts.test_outbox import postman
from tests.api.keys import made

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
AtTime = Callable[[timedelta], datetime]
REFUSED = "mail.example.com: connection refused"


@pytest.fixture(autouse=True)
def _transport(settings: Settings) -> None:
    postman.__init__()  # type: ignore[misc]
    settings.MAIL_TRANSPORT = f"{test_outbox.__name__}.the_postman"


def queue(recipient: str = "anna@example.com") -> OutboxMail:
    return enqueue_mail(kind="test", recipient=recipient, context={})


def fail(*failures: MailFailed) -> None:
    """One attempt each to send a new mail."""
    for failure in failures:
        queue()
        postman.failures = [failure]
        assert deliver_due(limit=1) == 0


def test_there_is_no_outage_before_anything_failed() -> None:
    queue()
    assert current_outage() is None

    assert deliver_due() == 1

    assert current_outage() is None


def test_an_outage_lasts_from_the_first_failing_mail_and_tells_the_latest_reason() -> None:
    fail(MailFailed("timeout"), MailFailed(REFUSED))

    outage = current_outage()

    assert outage is not None
    assert outage.since == OutboxMail.objects.earliest("created_at").created_at
    assert outage.reason == REFUSED


def test_an_outage_ends_with_the_next_mail_that_is_sent(at_time: AtTime) -> None:
    fail(MailFailed(REFUSED))
    at_time(timedelta(minutes=5))
    fail(MailFailed(REFUSED))
    at_time(timedelta(minutes=10))
    queue()

    assert deliver_due(limit=1) == 1

    assert current_outage() is None


def test_a_failure_before_the_last_mail_that_was_sent_is_no_outage(at_time: AtTime) -> None:
    fail(MailFailed("greylisted"))
    at_time(timedelta(seconds=10))
    queue("bert@example.com")
    assert deliver_due() == 1

    assert current_outage() is None


def test_a_mailbox_that_refuses_its_mail_is_no_outage() -> None:
    fail(MailFailed("no such user", is_permanent=True))

    assert OutboxMail.objects.get().status == "dead"
    assert current_outage() is None


def test_mail_that_was_given_up_is_an_outage(settings: Settings) -> None:
    settings.MAIL_MAX_ATTEMPTS = 1
    fail(MailFailed(REFUSED))

    assert OutboxMail.objects.get().status == "dead"
    assert current_outage() is not None


def test_the_overview_and_the_menu_of_every_page_say_so(owner: User, browser_of: BrowserOf) -> None:
    browser = browser_of(owner)
    calm = browser.get("/admin/").content.decode()
    fail(MailFailed(REFUSED))

    overview = browser.get("/admin/").content.decode()
    other = browser.get("/admin/audit/auditevent/").content.decode()

    assert "Mail has been failing since" not in calm
    assert "badge-bad" not in calm.partition("</nav>")[0]
    assert "Mail has been failing since" in overview
    assert f"{REFUSED}. Mail waits and is tried again." in overview
    assert 'href="/admin/mail/outboxmail/test/"' in overview
    assert 'Mail <span class="badge badge-bad">failing</span>' in other


def test_an_invitation_says_that_it_is_not_mailed(owner: User, client: Client) -> None:
    key = made(owner, "script", scopes=["read", "write", "users"]).text
    assert invite(actor=SYSTEM, email="nina@example.com").mailed is True
    fail(MailFailed(REFUSED))

    answer: Any = client.post(
        "/api/v1/invitations",
        {"email": "ian@example.com", "role": "viewer"},
        content_type="application/json",
        headers={"authorization": f"Bearer {key}"},
    )

    assert answer.status_code == 201
    assert answer.json()["mailed"] is False


def test_doctor_says_since_when_and_why() -> None:
    fail(MailFailed(REFUSED))
    out = StringIO()

    with suppress(CommandError):  # other findings of the test's settings
        call_command("doctor", stdout=out)

    since = OutboxMail.objects.get().created_at
    assert f"Mail has been failing since {since:%Y-%m-%d %H:%M} UTC: {REFUSED}" in out.getvalue()


def test_the_time_is_that_of_the_reader(owner: User, browser_of: BrowserOf) -> None:
    User.objects.filter(pk=owner.pk).update(time_zone="Asia/Tokyo")
    fail(MailFailed(REFUSED))

    page = browser_of(owner).get("/admin/").content.decode()

    local = timezone.localtime(
        OutboxMail.objects.get().created_at, timezone.get_fixed_timezone(540)
    )
    assert f"{local:%H:%M} JST" in page


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the plan is SQLite's")
def test_the_question_reads_none_of_the_mails_that_were_sent() -> None:
    """Every page of the admin panel asks it."""
    OutboxMail.objects.bulk_create(
        OutboxMail(recipient="a@example.com", kind="test", subject="x", status="sent")
        for _number in range(300)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        with CaptureQueriesContext(connection) as asked:
            assert current_outage() is None
        cursor.execute(f"EXPLAIN QUERY PLAN {asked.captured_queries[0]['sql']}")
        plan = " ".join(str(row[3]) for row in cursor.fetchall())

    assert len(asked) == 1
    assert "SEARCH mail_outboxmail USING INDEX outbox_due (status=?)" in plan
