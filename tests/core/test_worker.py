"""The worker: from a request to a mail at a real server; purging."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from accounts.models import AccountToken, BrowserSession, User
from audit import anchoring, shipping
from config import worker
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import wait_for
from magiclinks.models import LoginLink
from mail import outbox
from mail.models import OutboxMail
from oidc_provider.services import logout_notices
from tests.magiclinks.conftest import Ask, ask_link  # noqa: F401  # a fixture
from tests.servers.mail import ResendServer, SMTPServer
from webhooks.services import notices, sending

USER = """
from accounts.actors import SYSTEM
from accounts.services.users import create_user
create_user(actor=SYSTEM, email="anna@example.com", verified=True)
"""


def test_a_typed_address_becomes_a_mail_by_smtp_and_its_link_signs_in(
    sqlite_data: InstanceData,
    gatehouse_server: Callable[..., Gatehouse],
    smtp_server: SMTPServer,
) -> None:
    sqlite_data.shell(USER)
    gatehouse = gatehouse_server(
        sqlite_data,
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=str(smtp_server.port),
        EMAIL_ENCRYPTION="none",
        EMAIL_FROM="gate@example.com",
    )
    client = gatehouse.client()
    client.get("/sign-in")

    assert client.post("/magic-link", {"email": "anna@example.com"}).status == 200

    assert wait_for(lambda: len(smtp_server.mails) == 1)
    text = smtp_server.mails[0].message.get_body(("plain",)).get_content()
    path = next(line for line in text.splitlines() if "/magic-link/" in line)
    answer = client.get(path.removeprefix(gatehouse.url))
    assert (answer.status, answer.headers["location"]) == (302, "/account/")
    assert path.rpartition("/")[2] not in gatehouse.output()


def test_a_typed_address_becomes_a_mail_by_resend(
    sqlite_data: InstanceData,
    gatehouse_server: Callable[..., Gatehouse],
    resend_server: ResendServer,
) -> None:
    sqlite_data.shell(USER)
    gatehouse = gatehouse_server(
        sqlite_data,
        RESEND_API_KEY="re_key_of_the_test",
        RESEND_EMAIL="gate@example.com",
        RESEND_API_URL=resend_server.url,
    )
    client = gatehouse.client()
    client.get("/sign-in")

    client.post("/magic-link", {"email": "anna@example.com"})

    assert wait_for(lambda: resend_server.delivered == 1)
    assert resend_server.requests[0].body["to"] == ["anna@example.com"]
    assert "re_key_of_the_test" not in gatehouse.output()


@pytest.mark.django_db
def test_one_failing_job_stops_no_other(viewer: User, stranger: Client) -> None:
    def fails() -> int:
        raise RuntimeError("for the test")

    stranger.post("/magic-link", {"email": viewer.email})

    assert worker.run_jobs_once((fails, *worker.REQUEST_JOBS.values(), outbox.deliver_due)) == 1
    assert OutboxMail.objects.get().status == "waiting"


@pytest.mark.django_db
def test_obsolete_rows_are_purged(
    viewer: User,
    browser_of: Callable[[User], Client],
    ask_link: Ask,  # noqa: F811
    at_time: Callable[[timedelta], object],
) -> None:
    browser_of(viewer)
    ask_link(Client(), viewer.email)

    at_time(timedelta(days=29))
    worker.purge()
    assert (BrowserSession.objects.count(), LoginLink.objects.count()) == (1, 1)

    at_time(timedelta(days=31))
    worker.purge()
    assert (BrowserSession.objects.count(), LoginLink.objects.count()) == (0, 0)
    assert AccountToken.objects.count() == 0


@pytest.mark.django_db
def test_a_failing_purge_step_stops_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_arguments: object) -> int:
        raise RuntimeError("for the test")

    done: list[str] = []
    monkeypatch.setattr(worker.SessionStore, "clear_expired", fails)
    monkeypatch.setattr(worker.outbox, "purge_mails", fails)
    monkeypatch.setattr(worker.signing_keys, "rotate_when_due", lambda: done.append("rotated"))

    worker.purge()

    assert done == ["rotated"]


def test_a_failing_turn_does_not_end_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    class Enough(BaseException):
        """Ends the endless loop of the thread."""

    turns: list[int] = []

    def fails() -> None:
        turns.append(1)
        if len(turns) == 3:
            raise Enough
        raise RuntimeError("for the test")

    monkeypatch.setattr(worker, "close_old_connections", fails)
    monkeypatch.setattr(worker, "use_in_this_thread", lambda: None)
    monkeypatch.setattr(worker.Worker, "_next_jobs", lambda _self: ())

    with pytest.raises(Enough):
        worker.Worker()._run()

    assert len(turns) == 3


@pytest.mark.django_db
def test_notices_are_sent_each_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[object] = []
    monkeypatch.setattr(worker, "run_jobs_once", ran.extend)

    worker.Worker()._work(())

    assert notices.send_notices in ran


@pytest.mark.django_db
def test_webhooks_are_sent_by_a_thread_of_their_own() -> None:
    jobs = (
        sending.deliver_due,
        logout_notices.send_due,
        shipping.send_due,
        anchoring.anchor_when_due,
    )
    assert jobs == worker.WEBHOOK_JOBS
    assert {*jobs}.isdisjoint(worker.JOBS)
