"""The outbox: mail is a row written in the transaction of its cause, and sent off the request path.

States: queued -> sending -> sent, or back to queued with a later time, or dead after
MAIL_MAX_ATTEMPTS or a permanent refusal. Without a mail service it is waiting. A mail whose link
has ended is expired and not sent. Delivery is at least once; a transport gets the mail's id so
that the service can drop a repetition.
"""

import json
import logging
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.conf import settings
from django.db import models, transaction
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from accounts import audit
from accounts.actors import Actor
from accounts.crypto import SealBroken, seal, unseal
from accounts.errors import Forbidden, RecordInvalid
from accounts.models import OutboxMail, User
from accounts.roles import OPERATORS
from accounts.signals import mail_queued

logger = logging.getLogger("gatehouse.outbox")
Status = OutboxMail.Status
LEASE = timedelta(seconds=60)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=1)
SUBJECT_MAX_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Message:
    """What a transport sends; `id` stays the same when a mail is tried again."""

    id: str
    recipient: str
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)


class MailFailed(Exception):
    """A transport could not send. retry_after: what the service asked for, None when nothing."""

    def __init__(
        self, message: str, *, is_permanent: bool = False, retry_after: timedelta | None = None
    ) -> None:
        self.is_permanent = is_permanent
        self.retry_after = retry_after
        super().__init__(message)


class Transport(Protocol):
    """A way for mail to leave. send() raises MailFailed and nothing else on purpose."""

    def send(self, message: Message) -> None: ...


def find_transport() -> Transport | None:
    """The configured transport; None when there is no mail service (settings.MAIL_TRANSPORT)."""
    found: Transport | None = import_string(settings.MAIL_TRANSPORT)()
    return found


def enqueue_mail(
    *,
    kind: str,
    recipient: str,
    context: dict[str, Any],
    user: User | None = None,
    language: str = "",
    expires_at: datetime | None = None,
) -> OutboxMail:
    """Write a mail of `kind` (a file templates/mail/<kind>.txt) in the caller's transaction.

    recipient: a parsed address. language: "" for LANGUAGE_CODE. expires_at: when the link inside
    ends. Sends nothing itself; signals.mail_queued follows the commit.
    """
    subject, text, html = _render(kind, context, language or settings.LANGUAGE_CODE)
    mail = OutboxMail(
        user=user, recipient=recipient, kind=kind, subject=subject, expires_at=expires_at
    )
    mail.sealed_body = seal(json.dumps({"text": text, "html": html}), place=_place(mail))
    mail.save(force_insert=True)
    transaction.on_commit(lambda: mail_queued.send(sender=OutboxMail))
    return mail


def deliver_due(limit: int = 100) -> int:
    """Worker job: try up to `limit` due mails; returns how many were sent.

    Several processes may run it at once: one conditional UPDATE decides who sends a mail.
    """
    transport = find_transport()
    if transport is None:
        OutboxMail.objects.filter(status=Status.QUEUED).update(status=Status.WAITING)
        return 0
    OutboxMail.objects.filter(status=Status.WAITING).update(status=Status.QUEUED)
    sent = 0
    for _turn in range(limit):
        mail = _claim_next()
        if mail is None:
            break
        sent += _deliver(transport, mail)
    return sent


def retry_mail(mail: OutboxMail, *, actor: Actor) -> None:
    """Send a mail again that was given up, or at once one that waits for its next attempt.

    Raises Forbidden below admin, RecordInvalid when its text is gone or its link has ended.
    """
    if actor.role not in OPERATORS:
        raise Forbidden
    now = timezone.now()
    if mail.expires_at is not None and mail.expires_at <= now:
        raise RecordInvalid({"mail": [_("The link in this mail has ended. Issue a new one.")]})
    waiting = OutboxMail.objects.filter(
        pk=mail.pk, status__in=[Status.DEAD, Status.QUEUED, Status.WAITING]
    ).exclude(sealed_body="")
    with transaction.atomic():
        if not waiting.update(status=Status.QUEUED, attempts=0, next_attempt_at=now, last_error=""):
            raise RecordInvalid({"mail": [_("This mail has been sent; its text is gone.")]})
        audit.record("mail:outbox:retry", actor=actor, target=mail.user, kind=mail.kind)
        transaction.on_commit(lambda: mail_queued.send(sender=OutboxMail))


def purge_mails(before: datetime) -> int:
    """Delete mails made before `before` that will never be sent; returns how many."""
    done = [Status.SENT, Status.DEAD, Status.EXPIRED]
    return OutboxMail.objects.filter(created_at__lt=before, status__in=done).delete()[0]


def _claim_next() -> OutboxMail | None:
    """Take one due mail for LEASE; None when nothing is due. A sender that died loses its lease."""
    while True:
        now = timezone.now()
        due = models.Q(status=Status.QUEUED, next_attempt_at__lte=now) | models.Q(
            status=Status.SENDING, lease_until__lte=now
        )
        mail = OutboxMail.objects.filter(due).order_by("next_attempt_at", "id").first()
        if mail is None:
            return None
        claimed = OutboxMail.objects.filter(due, pk=mail.pk, attempts=mail.attempts).update(
            status=Status.SENDING, lease_until=now + LEASE, attempts=mail.attempts + 1
        )
        if claimed:
            mail.attempts += 1
            return mail


def _deliver(transport: Transport, mail: OutboxMail) -> bool:
    if mail.expires_at is not None and mail.expires_at <= timezone.now():
        _finish(mail, status=Status.EXPIRED, sealed_body="")
        return False
    try:
        body = json.loads(unseal(mail.sealed_body, place=_place(mail)))
    except SealBroken:
        _give_up(mail, _("The text cannot be read: ENCRYPTION_KEY has changed."))
        return False
    message = Message(str(mail.pk), mail.recipient, mail.subject, body["text"], body["html"])
    try:
        transport.send(message)
    except MailFailed as failure:
        _note_failure(mail, failure)
        return False
    _finish(mail, status=Status.SENT, sent_at=timezone.now(), sealed_body="", last_error="")
    return True


def _note_failure(mail: OutboxMail, failure: MailFailed) -> None:
    logger.warning(
        "a mail could not be sent",
        extra={"mail_id": str(mail.pk), "kind": mail.kind, "reason": str(failure)[:200]},
    )
    if failure.is_permanent or mail.attempts >= settings.MAIL_MAX_ATTEMPTS:
        _give_up(mail, str(failure))
        return
    pause = max(_pause(mail.attempts), failure.retry_after or timedelta())
    _finish(
        mail,
        status=Status.QUEUED,
        next_attempt_at=timezone.now() + min(pause, LONGEST_PAUSE),
        last_error=str(failure)[:200],
    )


def _give_up(mail: OutboxMail, reason: str) -> None:
    with transaction.atomic():
        _finish(mail, status=Status.DEAD, last_error=reason[:200])
        audit.record("mail:outbox:dead", target=mail.user, result="failure", kind=mail.kind)


def _finish(mail: OutboxMail, **changes: Any) -> None:
    """Write the outcome, unless somebody else has taken the mail since."""
    OutboxMail.objects.filter(pk=mail.pk, attempts=mail.attempts).update(
        lease_until=None, **changes
    )


def _pause(attempts: int) -> timedelta:
    """Doubles from 30 seconds to an hour, up to a fifth longer so that failures spread out."""
    base: timedelta = min(FIRST_PAUSE * 2 ** (attempts - 1), LONGEST_PAUSE)
    return base + base * secrets.randbelow(200) / 1000


def _render(kind: str, context: dict[str, Any], language: str) -> tuple[str, str, str]:
    """Subject, text and HTML: the first line of the one template is the subject."""
    with translation.override(language):
        values = {**context, "public_url": settings.PUBLIC_URL}
        rendered = render_to_string(f"mail/{kind}.txt", values)
        # A line break in a subject would start a header of its own.
        subject, _line_end, rest = rendered.strip().partition("\n")
        paragraphs = [part.strip() for part in rest.split("\n\n") if part.strip()]
        url = str(context.get("url", ""))
        html = render_to_string(
            "mail/layout.html",
            {"parts": [_part(text, url) for text in paragraphs], "language": language},
        )
    return subject.strip()[:SUBJECT_MAX_LENGTH], "\n\n".join(paragraphs) + "\n", html


def _part(paragraph: str, url: str) -> dict[str, str]:
    """A paragraph for the HTML form; `Label:` above the link becomes a button."""
    label, _line_end, rest = paragraph.partition("\n")
    if url and rest.strip() == url:
        return {"label": label.rstrip(":"), "url": url}
    return {"text": paragraph}


def _place(mail: OutboxMail) -> str:
    return f"outbox.sealed_body:{mail.pk}"
