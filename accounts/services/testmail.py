"""A test mail: sent at once, past the outbox, with everything that was said on the way."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.cache import caches
from django.db import transaction
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts import audit, outbox
from accounts.actors import Actor
from accounts.addresses import AddressError, parse_email
from accounts.errors import Forbidden, RateLimited, RecordInvalid
from accounts.models import OutboxMail
from accounts.roles import OPERATORS
from accounts.signals import mail_queued

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
    if actor.role not in OPERATORS:
        raise Forbidden
    try:
        recipient = parse_email(email)
    except AddressError as error:
        raise RecordInvalid({"email": [_(str(error))]}) from None
    _count(actor)
    report = _report(recipient)
    result = "success" if report.is_sent else "failure"
    with transaction.atomic():
        audit.record("mail:test:send", actor=actor, result=result)
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
