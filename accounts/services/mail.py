"""What administrators do with mail: send one again, and send a test."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.cache import caches
from django.db import transaction
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.roles import ADMIN_ROLES
from audit import audit_log
from core.email_addresses import AddressError, parse_email
from core.errors import Forbidden, RateLimited, RecordInvalid
from core.locks import lock_users
from mail import outbox
from mail.models import OutboxMail
from mail.signals import mail_queued

Status = OutboxMail.Status
# Each may hold a thread for half a minute, and sends to any address.
MAXIMUM, WINDOW = 10, timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class TestMailReport:
    """What became of a test mail. dialogue: without secrets; reason and fix: "" when it is sent."""

    __test__ = False  # pytest: no test, in spite of its name

    recipient: str
    dialogue: tuple[str, ...]
    reason: str = ""
    fix: str = ""

    @property
    def is_sent(self) -> bool:
        return not self.reason


def send_test_mail(*, actor: Actor, email: str) -> TestMailReport:
    """Send a mail without any secret to `email` now, and tell what was said and what failed.

    After a success the mails that wait for their next try are due at once: whatever held them up
    may be mended. Raises Forbidden below admin, RecordInvalid for no address, RateLimited.
    """
    if actor.role not in ADMIN_ROLES:
        raise Forbidden
    try:
        recipient = parse_email(email)
    except AddressError as error:
        raise RecordInvalid({"email": [_(str(error))]}) from None
    _count(actor)
    report = _report(recipient)
    result = "success" if report.is_sent else "failure"
    with transaction.atomic():
        audit_log.record("mail:test:send", actor=actor, result=result)
        if report.is_sent:
            _try_waiting_mails()
    return report


def _count(actor: Actor) -> None:
    """Raises RateLimited. The command line is bound by nothing."""
    if actor.pk is None:
        return
    cache: Any = caches["counters"]
    count, end = cache.hit(f"test-mail:{actor.pk}", WINDOW.total_seconds())
    if count > MAXIMUM:
        raise RateLimited(int(end - timezone.now().timestamp()) + 1)


def _report(recipient: str) -> TestMailReport:
    transport = outbox.find_transport()
    if transport is None:
        return TestMailReport(
            recipient,
            (),
            _("No mail service is configured."),
            _("Set RESEND_API_KEY and RESEND_EMAIL, or EMAIL_HOST and EMAIL_FROM."),
        )
    message = outbox.render_message("test", recipient, language=get_language() or "")
    found = transport.examine(message)
    if found.failure is None:
        return TestMailReport(recipient, found.dialogue)
    return TestMailReport(recipient, found.dialogue, found.failure.reason, found.failure.fix)


def _try_waiting_mails() -> None:
    queued = OutboxMail.objects.filter(status=OutboxMail.Status.QUEUED)
    if queued.update(next_attempt_at=timezone.now()):
        transaction.on_commit(lambda: mail_queued.send(sender=OutboxMail))


def retry_mail(mail: OutboxMail, *, actor: Actor) -> None:
    """Send a mail again that was given up, or at once one that waits for its next attempt.

    Raises Forbidden below admin, RecordInvalid when its text is gone or its link has ended.
    """
    if actor.role not in ADMIN_ROLES:
        raise Forbidden
    now = timezone.now()
    if mail.expires_at is not None and mail.expires_at <= now:
        raise RecordInvalid({"mail": [_("The link in this mail has ended. Issue a new one.")]})
    waiting = OutboxMail.objects.filter(
        pk=mail.pk, status__in=[Status.DEAD, Status.QUEUED, Status.WAITING]
    ).exclude(sealed_body="")
    with transaction.atomic():
        lock_users(mail.user_id)
        if not waiting.update(status=Status.QUEUED, attempts=0, next_attempt_at=now, last_error=""):
            raise RecordInvalid({"mail": [_("This mail has been sent; its text is gone.")]})
        audit_log.record("mail:outbox:retry", actor=actor, target=mail.user, kind=mail.kind)
        transaction.on_commit(lambda: mail_queued.send(sender=OutboxMail))
