"""The outbox: one transaction with its cause, retries, failed mails, leases, encryption."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.services.mail import retry_mail
from audit.models import AuditEvent
from core.crypto.encryption import encrypt
from core.errors import Forbidden, RecordInvalid
from mail import outbox
from mail.models import OutboxMail
from mail.outbox import MailFailed, Message, deliver_due, enqueue_mail
from tests.conftest import text_of

pytestmark = pytest.mark.django_db
URL = "http://localhost:8000/magic-link/secret-of-the-test"


class Postman:
    """A transport that keeps the mails that it gets, and fails as configured."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.failures: list[Exception] = []
        self.tries = 0

    def examine(self, message: Message | None = None) -> outbox.Examined:
        if message:
            self.send(message)
        return outbox.Examined(("* probed",))

    def send(self, message: Message) -> None:
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)
        self.messages.append(message)


postman = Postman()


@pytest.fixture(autouse=True)
def _transport(settings) -> None:
    postman.__init__()  # type: ignore[misc]
    settings.MAIL_TRANSPORT = "tests.accounts.test_outbox.the_postman"


def the_postman() -> Postman:
    return postman


def no_transport() -> None:
    """No mail service is configured."""


def link_mail(**more: Any) -> OutboxMail:
    end = timezone.now() + timedelta(minutes=10)
    values = {
        "kind": "magic-link",
        "recipient": "viewer@example.com",
        "context": {"url": URL, "expires_at": end},
        "expires_at": end,
    }
    return enqueue_mail(**(values | more))


def test_a_mail_is_sent_once_and_its_body_is_deleted() -> None:
    mail = link_mail()

    assert deliver_due() == 1
    assert deliver_due() == 0

    (message,) = postman.messages
    assert (message.id, message.recipient) == (str(mail.pk), "viewer@example.com")
    assert message.subject == "Your sign-in link"
    assert f"Sign in:\n{URL}\n" in message.text
    assert f'href="{URL}"' in message.html
    mail.refresh_from_db()
    assert (mail.status, mail.sealed_body, mail.attempts) == ("sent", "", 1)
    assert mail.sent_at is not None


def test_the_body_is_encrypted_while_it_waits() -> None:
    mail = link_mail()

    stored = OutboxMail.objects.filter(pk=mail.pk).values().get()

    assert "secret-of-the-test" not in str(stored)
    assert URL in text_of(mail)


def test_a_rolled_back_transaction_sends_nothing() -> None:
    with transaction.atomic():
        link_mail()
        transaction.set_rollback(True)

    assert deliver_due() == 0
    assert postman.tries == 0


def test_without_a_transport_mail_waits_until_one_is_configured(settings) -> None:
    mail = link_mail()
    settings.MAIL_TRANSPORT = "tests.accounts.test_outbox.no_transport"

    assert deliver_due() == 0
    mail.refresh_from_db()
    assert (mail.status, mail.attempts) == ("waiting", 0)

    settings.MAIL_TRANSPORT = "tests.accounts.test_outbox.the_postman"
    assert deliver_due() == 1


def test_failures_are_retried_with_growing_delays(at_time: Callable[..., Any]) -> None:
    mail = link_mail(expires_at=None)
    pauses = []

    for _attempt in range(4):
        postman.failures = [MailFailed("connection refused")]
        deliver_due()
        mail.refresh_from_db()
        pauses.append((mail.next_attempt_at - timezone.now()).total_seconds())
        assert deliver_due() == 0
        at_time(mail.next_attempt_at - timezone.now() + (timezone.now() - at_time(timedelta())))

    assert (mail.status, mail.attempts, mail.last_error) == ("queued", 4, "connection refused")
    for pause, base in zip(pauses, (30, 60, 120, 240), strict=True):
        assert base * 0.99 <= pause <= base * 1.2
    assert deliver_due() == 1


def test_the_transport_can_ask_for_a_later_retry() -> None:
    mail = link_mail()
    postman.failures = [MailFailed("429", retry_after=timedelta(minutes=7))]

    deliver_due()

    mail.refresh_from_db()
    assert 415 < (mail.next_attempt_at - timezone.now()).total_seconds() <= 420


@pytest.mark.parametrize("is_permanent", [True, False])
def test_a_mail_fails_at_once_or_after_the_last_attempt(
    viewer: User, settings, is_permanent: bool
) -> None:
    settings.MAIL_MAX_ATTEMPTS = 5 if is_permanent else 1
    mail = link_mail(user=viewer)
    postman.failures = [MailFailed("550 no such mailbox", is_permanent=is_permanent)]

    deliver_due()

    mail.refresh_from_db()
    assert (mail.status, mail.last_error) == ("dead", "550 no such mailbox")
    event = AuditEvent.objects.get(action="mail:outbox:dead")
    assert (event.target_id, event.result, event.detail) == (
        viewer.pk,
        "failure",
        {"kind": "magic-link"},
    )
    assert deliver_due() == 0


@pytest.mark.parametrize(
    "error",
    [
        UnicodeEncodeError("ascii", "hunter2", 0, 1, "hunter2"),
        UnicodeError("label empty or too long"),
        ValueError("Invalid header value b'Bearer hunter2'"),
        RecursionError("hunter2"),
        KeyError("hunter2"),
        MailFailed("550 \0 \udce4 hunter\r\nBcc: x"),
    ],
)
def test_any_exception_of_a_transport_counts_as_a_failed_attempt(
    settings, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    settings.MAIL_MAX_ATTEMPTS = 2
    poisoned, sound = link_mail(), link_mail()
    postman.failures = [error]

    assert deliver_due() == 1

    poisoned.refresh_from_db()
    sound.refresh_from_db()
    assert (poisoned.status, poisoned.attempts, poisoned.lease_until) == ("queued", 1, None)
    assert poisoned.last_error
    assert poisoned.last_error.isprintable()
    assert sound.status == "sent"
    shown = f"{poisoned.last_error} {caplog.text} {[record.__dict__ for record in caplog.records]}"
    assert "hunter2" not in shown

    OutboxMail.objects.filter(pk=poisoned.pk).update(next_attempt_at=timezone.now())
    postman.failures = [error]
    assert deliver_due() == 0
    poisoned.refresh_from_db()
    assert (poisoned.status, poisoned.attempts) == ("dead", 2)


def test_an_undecodable_body_counts_as_a_failed_attempt() -> None:
    poisoned, sound = link_mail(), link_mail()
    place = f"outbox.sealed_body:{poisoned.pk}"
    OutboxMail.objects.filter(pk=poisoned.pk).update(sealed_body=encrypt("[1]", place))

    assert deliver_due() == 1

    poisoned.refresh_from_db()
    sound.refresh_from_db()
    assert (poisoned.status, sound.status) == ("queued", "sent")
    assert "Unexpected error: TypeError." in poisoned.last_error


def test_a_mail_that_kills_the_worker_fails_after_the_last_attempt(
    settings, at_time: Callable[..., Any]
) -> None:
    settings.MAIL_MAX_ATTEMPTS = 2
    mail = link_mail(expires_at=None)
    for turn in range(2):
        at_time(timedelta(seconds=61 * turn))
        assert outbox._claim_next() is not None  # and the process ends here

    at_time(timedelta(seconds=122))
    assert deliver_due() == 0

    mail.refresh_from_db()
    assert (mail.status, postman.tries) == ("dead", 0)
    assert mail.last_error == "The process that sent it ended each time."


def test_a_failure_that_an_administrator_must_fix_is_retried_without_limit(
    settings, at_time: Callable[..., Any]
) -> None:
    settings.MAIL_MAX_ATTEMPTS = 1
    mail = link_mail(expires_at=None)
    problem = MailFailed("535 no", fix="Correct EMAIL_PASSWORD.", waits_for_fix=True)

    for day in range(30):
        at_time(timedelta(days=day))
        postman.failures = [problem]
        deliver_due()
        mail.refresh_from_db()
        assert (mail.status, mail.attempts) == ("queued", day + 1)
        assert mail.last_error == "Correct EMAIL_PASSWORD. 535 no"
        assert mail.next_attempt_at - timezone.now() <= timedelta(hours=1)

    at_time(timedelta(days=30))
    postman.failures = [problem]
    deliver_due()
    mail.refresh_from_db()
    assert mail.status == "dead"


def test_a_run_ends_when_the_transport_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "RUN_SECONDS", 0.0)
    link_mail()
    link_mail()

    assert [deliver_due(), deliver_due(), deliver_due()] == [1, 1, 0]


def test_an_admin_resends_a_failed_mail(admin: User, settings) -> None:
    settings.MAIL_MAX_ATTEMPTS = 1
    mail = link_mail()
    postman.failures = [MailFailed("down")]
    deliver_due()

    retry_mail(mail, actor=admin)

    assert deliver_due() == 1
    assert postman.messages[0].id == str(mail.pk)
    assert AuditEvent.objects.get(action="mail:outbox:retry").actor_id == admin.pk


def test_only_administrators_resend_mail(editor: User) -> None:
    mail = link_mail()

    with pytest.raises(Forbidden):
        retry_mail(mail, actor=editor)


def test_a_sent_mail_cannot_be_sent_again(admin: User) -> None:
    mail = link_mail()
    deliver_due()

    with pytest.raises(RecordInvalid, match="its text was deleted"):
        retry_mail(mail, actor=admin)

    assert deliver_due() == 0


def test_a_mail_whose_link_has_ended_is_not_sent(admin: User, at_time: Callable[..., Any]) -> None:
    mail = link_mail()
    at_time(timedelta(minutes=11))

    assert deliver_due() == 0

    mail.refresh_from_db()
    assert (mail.status, mail.sealed_body, postman.tries) == ("expired", "", 0)
    with pytest.raises(RecordInvalid, match="The link in this mail has expired"):
        retry_mail(mail, actor=admin)


def test_the_lease_of_a_dead_worker_expires(at_time: Callable[..., Any]) -> None:
    mail = link_mail()
    assert outbox._claim_next() is not None

    assert deliver_due() == 0
    at_time(timedelta(seconds=61))
    assert deliver_due() == 1

    mail.refresh_from_db()
    assert (mail.status, mail.attempts) == ("sent", 2)


def test_a_late_worker_does_not_overwrite_a_newer_outcome(at_time: Callable[..., Any]) -> None:
    mail = link_mail()
    slow = outbox._claim_next()
    assert slow is not None
    at_time(timedelta(seconds=61))
    deliver_due()

    outbox._note_failure(slow, MailFailed("timed out"))

    mail.refresh_from_db()
    assert (mail.status, mail.last_error) == ("sent", "")


def test_a_body_that_cannot_be_decrypted_is_a_failed_mail_with_a_reason(settings) -> None:
    mail = link_mail()
    settings.ENCRYPTION_KEY = b"k" * 32

    deliver_due()

    mail.refresh_from_db()
    assert mail.status == "dead"
    assert mail.last_error == "The text cannot be read: ENCRYPTION_KEY has changed."


@pytest.mark.parametrize(
    ("kind", "context"),
    [
        ("magic-link", {"url": URL, "expires_at": timezone.now()}),
        ("verify-email", {"url": URL, "expires_at": timezone.now()}),
        ("change-email", {"url": URL, "expires_at": timezone.now()}),
        ("reset-password", {"url": URL, "expires_at": timezone.now()}),
        ("account-exists", {}),
        ("email-changed", {"new_email": "n•••@example.com"}),
        ("password-changed", {}),
        ("account-removed", {}),
        ("test", {}),
    ],
)
@pytest.mark.parametrize("language", ["en", "de"])
def test_each_kind_of_mail_is_complete(kind: str, context: dict[str, Any], language: str) -> None:
    enqueue_mail(kind=kind, recipient="a@example.com", context=context, language=language)
    deliver_due()

    (message,) = postman.messages
    assert 10 < len(message.subject) < 60
    assert "\n" not in message.subject
    assert message.text.count(URL) == ("url" in context)
    assert message.html.count(f'href="{URL}"') == ("url" in context)
    assert all(str(value) in message.text for name, value in context.items() if name == "new_email")
    assert message.text.endswith("Gatehouse, http://localhost:8000\n")
    assert "{{" not in message.text + message.html
    assert f'<html lang="{language}">' in message.html


def test_old_mails_are_purged_and_waiting_ones_are_kept(at_time: Callable[..., Any]) -> None:
    link_mail()
    deliver_due()
    kept = link_mail(expires_at=None)

    outbox.purge_mails(timezone.now() + timedelta(days=1))

    assert list(OutboxMail.objects.all()) == [kept]
