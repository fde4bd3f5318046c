"""Mail to users about their account, and its administration: retries, test mails."""

from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.models import User
from accounts.roles import ADMIN_ROLES
from audit import audit_log
from core import counters
from core.errors import Forbidden, RateLimited, RecordInvalid
from core.locks import lock_users
from core.text.email_addresses import AddressError, is_placeholder, parse_email
from mail import outbox
from mail.models import OutboxMail
from mail.signals import mail_queued

Status = OutboxMail.Status
# The limit of test mails: each may block a thread for half a minute, and goes to any address.
MAX_TEST_MAILS, WINDOW = 10, timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class TestMailReport:
    """The result of a test mail. dialogue: has no secrets. reason, fix: "" if it was sent."""

    __test__ = False  # its name makes pytest collect it

    recipient: str
    dialogue: tuple[str, ...]
    reason: str = ""
    fix: str = ""

    @property
    def is_sent(self) -> bool:
        return not self.reason


def notify(user: User, kind: str, **context: str | int) -> None:
    """Notify a user of a change to their account (ASVS 6.3.7), in the caller's transaction.

    Does nothing if the address is a placeholder.
    """
    if not is_placeholder(user.email):
        outbox.enqueue_mail(kind=kind, recipient=user.email, user=user, context=context)


def send_test_mail(*, actor: Actor, email: str) -> TestMailReport:
    """Send a mail without any secret to `email` now, and report the dialogue with the server.

    After a success, mails that wait for their next attempt are due at once, because the cause of
    their failure may be fixed. Raises Forbidden below admin, RecordInvalid for an invalid address,
    RateLimited.
    """
    if actor.role not in ADMIN_ROLES:
        raise Forbidden
    try:
        recipient = parse_email(email)
    except AddressError as error:
        raise RecordInvalid({"email": [_(str(error))]}) from None
    _check_rate_limit(actor)
    report = _send(recipient)
    result = "success" if report.is_sent else "failure"
    with transaction.atomic():
        audit_log.record("mail:test:send", actor=actor, result=result)
        if report.is_sent:
            _retry_queued_mails()
    return report


def _check_rate_limit(actor: Actor) -> None:
    """Raise RateLimited after too many test mails. The command line has no limit."""
    if actor.pk is None:
        return
    count = counters.hit(f"test-mail:{actor.pk}", WINDOW)
    if count.number > MAX_TEST_MAILS:
        raise RateLimited(count.wait_seconds)


def _send(recipient: str) -> TestMailReport:
    transport = outbox.find_transport()
    if transport is None:
        return TestMailReport(
            recipient,
            (),
            _("No mail service is configured."),
            _("Set RESEND_API_KEY and RESEND_EMAIL, or EMAIL_HOST and EMAIL_FROM."),
        )
    message = outbox.render_message("test", recipient, language=get_language() or "")
    result = transport.examine(message)
    if result.failure is None:
        return TestMailReport(recipient, result.dialogue)
    return TestMailReport(recipient, result.dialogue, result.failure.reason, result.failure.fix)


def _retry_queued_mails() -> None:
    queued = OutboxMail.objects.filter(status=Status.QUEUED)
    if queued.update(next_attempt_at=timezone.now()):
        transaction.on_commit(lambda: mail_queued.send(sender=OutboxMail))


def retry_mail(mail: OutboxMail, *, actor: Actor) -> None:
    """Queue a failed mail again, or make one that waits for its next attempt due now.

    Raises Forbidden below admin, RecordInvalid when its text was deleted or its link has expired.
    """
    if actor.role not in ADMIN_ROLES:
        raise Forbidden
    now = timezone.now()
    if mail.expires_at is not None and mail.expires_at <= now:
        raise RecordInvalid({"mail": [_("The link in this mail has expired. Issue a new one.")]})
    rows = OutboxMail.objects.filter(
        pk=mail.pk, status__in=[Status.DEAD, Status.QUEUED, Status.WAITING]
    ).exclude(sealed_body="")
    with transaction.atomic():
        lock_users(mail.user_id)
        if not rows.update(status=Status.QUEUED, attempts=0, next_attempt_at=now, last_error=""):
            raise RecordInvalid({"mail": [_("This mail has been sent, and its text was deleted.")]})
        audit_log.record("mail:outbox:retry", actor=actor, target=mail.user, kind=mail.kind)
        transaction.on_commit(lambda: mail_queued.send(sender=OutboxMail))
