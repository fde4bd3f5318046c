"""The outbox: mail is a row written in the transaction of its cause, and sent off the request path.

States: queued -> sending -> sent, or back to queued with a later time, or dead after
MAIL_MAX_ATTEMPTS or a refused recipient. What an administrator has to mend (a sender, a password)
is tried again without that maximum, for MAX_WAIT. Without a mail service it is waiting. A mail
whose link has ended is expired and not sent. Delivery is at least once; a transport gets the
mail's id so that the service can drop a repetition.

Whatever a transport raises is a noted, counted failure of that one mail: the next one is tried.
"""

import json
import logging
import secrets
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from django.conf import settings
from django.db import models, transaction
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.html import escape
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from accounts import audit, rows
from accounts.actors import Actor
from accounts.anonymous import ANONYMOUS_EMAIL
from accounts.crypto import SealBroken, seal, unseal
from accounts.errors import Forbidden, RecordInvalid
from accounts.locks import delete_free, lock_people
from accounts.models import OutboxMail, User
from accounts.roles import OPERATORS
from accounts.signals import mail_queued
from accounts.uuids import uuid7

logger = logging.getLogger("gatehouse.outbox")
Status = OutboxMail.Status
LEASE = timedelta(seconds=60)
# Mail that has waited so long, with none sent meanwhile, says that the mail service is down.
PATIENCE, LATELY = timedelta(minutes=1), timedelta(minutes=10)
UNSENT = (Status.QUEUED, Status.SENDING, Status.WAITING)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=1)
# How long a mail waits for somebody to mend the mail service.
MAX_WAIT = timedelta(days=30)
# A run ends after so long, so that a mail server that does not answer keeps no other job waiting.
RUN_SECONDS = 20.0
ERROR_MAX_LENGTH = 200
SUBJECT_MAX_LENGTH = 200
URL_PLACE = "https://link.invalid/"


@dataclass(frozen=True, slots=True)
class Message:
    """What a transport sends; `id` stays the same when a mail is tried again."""

    id: str
    recipient: str
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)


class _Text(NamedTuple):
    """A rendered mail without its link."""

    subject: str
    plain: str
    html: str


class MailFailed(Exception):
    """A transport could not send.

    is_permanent: the recipient is refused. fix: what an administrator has to mend, in a sentence;
    with waits_for_fix the mail waits for it, however often it has been tried. retry_after: what
    the service asked for, None when nothing.
    """

    def __init__(
        self,
        message: str,
        *,
        is_permanent: bool = False,
        retry_after: timedelta | None = None,
        fix: str = "",
        waits_for_fix: bool = False,
    ) -> None:
        self.is_permanent = is_permanent
        self.retry_after = retry_after
        self.reason = message
        self.fix = fix
        self.waits_for_fix = waits_for_fix
        # The fix comes first: what is stored is cut at its end.
        super().__init__(f"{fix} {message}" if fix else message)


@dataclass(frozen=True, slots=True)
class Examined:
    """What was said while sending or probing, line by line and without secrets, and what failed."""

    dialogue: tuple[str, ...]
    failure: MailFailed | None = None


class Transport(Protocol):
    """A way for mail to leave. send() raises MailFailed and nothing else on purpose.

    examine() sends as well, or only goes as far as it can without a mail, and raises nothing.
    """

    def send(self, message: Message) -> None: ...

    def examine(self, message: Message | None = None) -> Examined: ...


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
    mail = draft_mail(
        kind=kind,
        recipient=recipient,
        context=context,
        user=user,
        language=language,
        expires_at=expires_at,
    )
    enqueue([mail])
    return mail


def draft_mail(
    *,
    kind: str,
    recipient: str,
    context: dict[str, Any],
    user: User | None = None,
    language: str = "",
    expires_at: datetime | None = None,
) -> OutboxMail:
    """A mail that is not written yet; see enqueue_mail()."""
    url = str(context.get("url", ""))
    rest = {name: value for name, value in context.items() if name != "url"}
    text = _render(kind, tuple(sorted(rest.items())), bool(url), language or settings.LANGUAGE_CODE)
    mail = OutboxMail(
        user=user, recipient=recipient, kind=kind, subject=text.subject, expires_at=expires_at
    )
    body = {
        "text": text.plain.replace(URL_PLACE, url),
        "html": text.html.replace(URL_PLACE, escape(url)),
    }
    mail.sealed_body = seal(json.dumps(body), place=_place(mail))
    return mail


def render_message(kind: str, recipient: str, *, language: str = "") -> Message:
    """A mail of `kind` without a link, to be sent at once instead of being queued."""
    text = _render(kind, (), False, language or settings.LANGUAGE_CODE)
    return Message(str(uuid7()), recipient, text.subject, text.plain, text.html)


def enqueue(mails: Sequence[OutboxMail]) -> None:
    """Write drafts in the caller's transaction; none to the anonymous user, whom none reaches."""
    mails = [mail for mail in mails if mail.recipient != ANONYMOUS_EMAIL]
    if not mails:
        return  # nobody is woken for nothing
    rows.insert(mails)
    transaction.on_commit(lambda: mail_queued.send(sender=OutboxMail))


def deliver_due(limit: int = 100) -> int:
    """Worker job: try up to `limit` due mails; returns how many were sent.

    Several processes may run it at once: one conditional UPDATE decides who sends a mail.
    """
    transport = find_transport()
    if transport is None:
        OutboxMail.objects.filter(status=Status.QUEUED).update(status=Status.WAITING)
        return 0
    OutboxMail.objects.filter(status=Status.WAITING).update(status=Status.QUEUED)
    sent, end = 0, time.monotonic() + RUN_SECONDS
    for _turn in range(limit):
        mail = _claim_next()
        if mail is None:
            break
        sent += _deliver(transport, mail)
        if time.monotonic() >= end:
            break  # the next run goes on
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
        lock_people(mail.user_id)
        if not waiting.update(status=Status.QUEUED, attempts=0, next_attempt_at=now, last_error=""):
            raise RecordInvalid({"mail": [_("This mail has been sent; its text is gone.")]})
        audit.record("mail:outbox:retry", actor=actor, target=mail.user, kind=mail.kind)
        transaction.on_commit(lambda: mail_queued.send(sender=OutboxMail))


def is_held_up() -> bool:
    """Does mail wait while none gets out, so that people ask for it again and again?

    One mailbox that refuses for now does not make it so: others get their mail.
    """
    now = timezone.now()
    waiting = OutboxMail.objects.filter(status__in=UNSENT, created_at__lt=now - PATIENCE)
    lately = OutboxMail.objects.filter(status=Status.SENT, created_at__gt=now - LATELY)
    return waiting.exists() and not lately.exists()


def purge_mails(before: datetime) -> int:
    """Delete mails made before `before` that will never be sent; returns how many."""
    done = [Status.SENT, Status.DEAD, Status.EXPIRED]
    return delete_free(OutboxMail.objects.filter(created_at__lt=before, status__in=done))


def _claim_next() -> OutboxMail | None:
    """Take one due mail for LEASE; None when nothing is due. A sender that died loses its lease.

    A mail whose sender died at its last attempt is given up here: it may be what killed it.
    """
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
        if not claimed:
            continue
        mail.attempts += 1
        if mail.status == Status.SENDING and mail.attempts > settings.MAIL_MAX_ATTEMPTS:
            _give_up(mail, _("The process that was sending it ended each time."))
            continue
        return mail


def _deliver(transport: Transport, mail: OutboxMail) -> bool:
    if mail.expires_at is not None and mail.expires_at <= timezone.now():
        _finish(mail, status=Status.EXPIRED, sealed_body="")
        return False
    try:
        transport.send(_message(mail))
    except SealBroken:
        _give_up(mail, _("The text cannot be read: ENCRYPTION_KEY has changed."))
        return False
    except MailFailed as failure:
        _note_failure(mail, failure)
        return False
    except Exception as error:
        _note_failure(mail, unexpected(error))
        return False
    _finish(mail, status=Status.SENT, sent_at=timezone.now(), sealed_body="", last_error="")
    return True


def _message(mail: OutboxMail) -> Message:
    """What is to be sent. Raises SealBroken."""
    body = json.loads(unseal(mail.sealed_body, place=_place(mail)))
    return Message(str(mail.pk), mail.recipient, mail.subject, body["text"], body["html"])


def unexpected(error: Exception) -> MailFailed:
    """An exception that no transport raises on purpose, as a failure.

    Its own text is told nowhere: libraries put headers and passwords into theirs.
    """
    trace = traceback.extract_tb(error.__traceback__)[-6:]
    places = ", ".join(f"{at.filename}:{at.lineno}" for at in trace)
    logger.error(
        "an unexpected error while sending a mail",
        extra={"reason": f"{type(error).__name__} at {places}"},
    )
    text = _("Unexpected error: %(error)s. The log of the server says where.")
    return MailFailed(text % {"error": type(error).__name__})


def _note_failure(mail: OutboxMail, failure: MailFailed) -> None:
    reason = _one_line(str(failure))
    logger.warning(
        "a mail could not be sent",
        extra={"mail_id": str(mail.pk), "kind": mail.kind, "reason": reason},
    )
    now = timezone.now()
    if failure.waits_for_fix:
        is_over = now - mail.created_at >= MAX_WAIT
    else:
        is_over = mail.attempts >= settings.MAIL_MAX_ATTEMPTS
    if failure.is_permanent or is_over:
        _give_up(mail, reason)
        return
    pause = max(_pause(mail.attempts), failure.retry_after or timedelta())
    _finish(
        mail,
        status=Status.QUEUED,
        next_attempt_at=now + min(pause, LONGEST_PAUSE),
        last_error=reason,
    )


def _one_line(text: str) -> str:
    """`text` as every database takes it: one line without control signs, cut."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(plain.split())[:ERROR_MAX_LENGTH]


def _give_up(mail: OutboxMail, reason: str) -> None:
    with transaction.atomic():
        lock_people(mail.user_id)
        _finish(mail, status=Status.DEAD, last_error=reason[:ERROR_MAX_LENGTH])
        audit.record("mail:outbox:dead", target=mail.user, result="failure", kind=mail.kind)


def _finish(mail: OutboxMail, **changes: Any) -> None:
    """Write the outcome, unless somebody else has taken the mail since."""
    OutboxMail.objects.filter(pk=mail.pk, attempts=mail.attempts).update(
        lease_until=None, **changes
    )


def _pause(attempts: int) -> timedelta:
    """Doubles from 30 seconds to an hour, up to a fifth longer so that failures spread out."""
    doublings = min(attempts - 1, 10)  # what waits for a fix is tried hundreds of times
    base: timedelta = min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE)
    return base + base * secrets.randbelow(200) / 1000


@lru_cache(maxsize=64)
def _render(kind: str, context: tuple[tuple[str, Any], ...], has_url: bool, language: str) -> _Text:
    """The one template of `kind` in both forms; its first line is the subject.

    Kept, with URL_PLACE for the link, because mails of one moment differ in nothing else.
    """
    url = {"url": URL_PLACE} if has_url else {}
    with translation.override(language):
        values = {**dict(context), **url, "public_url": settings.PUBLIC_URL}
        rendered = render_to_string(f"mail/{kind}.txt", values)
        # A line break in a subject would start a header of its own.
        subject, _line_end, rest = rendered.strip().partition("\n")
        paragraphs = [part.strip() for part in rest.split("\n\n") if part.strip()]
        parts = [_part(text) for text in paragraphs]
        html = render_to_string("mail/layout.html", {"parts": parts, "language": language})
    return _Text(subject.strip()[:SUBJECT_MAX_LENGTH], "\n\n".join(paragraphs) + "\n", html)


def _part(paragraph: str) -> dict[str, str]:
    """A paragraph for the HTML form; `Label:` above the link becomes a button."""
    label, _line_end, rest = paragraph.partition("\n")
    if rest.strip() == URL_PLACE:
        return {"label": label.rstrip(":"), "url": URL_PLACE}
    return {"text": paragraph}


def _place(mail: OutboxMail) -> str:
    return f"outbox.sealed_body:{mail.pk}"
