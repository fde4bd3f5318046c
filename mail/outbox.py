"""The outbox: a mail is a row, written in the transaction of its cause and sent by the worker.

States: queued -> sending -> sent; back to queued with a later time; dead after MAIL_MAX_ATTEMPTS or
if the recipient is refused. A failure that an administrator has to fix (a sender, a password) is
retried without that maximum, for MAX_WAIT. Without a mail service, mail is waiting. A mail whose
link has expired is expired and not sent. Delivery is at least once; transports get the mail's id,
so that the mail service can drop a duplicate.

Any exception of a transport is a recorded failure of that one mail; the next mail is tried.
"""

import json
import logging
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.html import escape
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from audit import audit_log
from core import sql, tracing
from core.branding import current as branding
from core.branding.colors import to_hex
from core.crypto.encryption import DecryptionError, decrypt, encrypt
from core.locks import delete_free, lock_users
from core.queue import REASON_MAX_LENGTH, Backoff, claim_next, one_line, release
from core.text.email_addresses import is_reserved
from core.text.time_zones import zone_of
from core.uuid7 import uuid7
from mail.models import OutboxMail
from mail.signals import mail_queued

logger = logging.getLogger("gatehouse.outbox")
Status = OutboxMail.Status
LEASE = timedelta(seconds=60)
# If mail has waited for the first, and none was sent in the second, the mail service is down.
STALLED_AFTER, SENT_WITHIN = timedelta(minutes=1), timedelta(minutes=10)
UNSENT = (Status.QUEUED, Status.SENDING, Status.WAITING)
BACKOFF = Backoff(first=timedelta(seconds=30), longest=timedelta(hours=1))
# How long a mail waits until an administrator has fixed the mail service.
MAX_WAIT = timedelta(days=30)
# The maximum time of a run, so that a mail server that does not answer delays no other job.
RUN_SECONDS = 20.0
SUBJECT_MAX_LENGTH = 200
# Attribute of the trace of a mail.
MAIL_KIND = "gatehouse.mail.kind"
URL_PLACEHOLDER = "https://link.invalid/"


@dataclass(frozen=True, slots=True)
class Message:
    """What a transport sends. `id` is the same for each attempt."""

    id: str
    recipient: str
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)


class _Text(NamedTuple):
    """A rendered mail, with a placeholder for its link."""

    subject: str
    plain: str
    html: str


class MailFailed(Exception):
    """A transport could not send.

    is_permanent: the recipient is refused. fix: what an administrator has to do, in a sentence.
    waits_for_fix: retry beyond MAIL_MAX_ATTEMPTS. retry_after: what the service asked for, or None.
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
        # The fix comes first, because the stored text is truncated.
        super().__init__(f"{fix} {message}" if fix else message)


@dataclass(frozen=True, slots=True)
class Examined:
    """The dialogue of sending or probing, line by line and without secrets, and the failure."""

    dialogue: tuple[str, ...]
    failure: MailFailed | None = None


class Transport(Protocol):
    """Sends mail. send() raises MailFailed.

    examine() sends the message, or without one only tests the connection. It raises nothing.
    """

    def send(self, message: Message) -> None: ...

    def examine(self, message: Message | None = None) -> Examined: ...


def find_transport() -> Transport | None:
    """The configured transport (settings.MAIL_TRANSPORT); None without a mail service."""
    found: Transport | None = import_string(settings.MAIL_TRANSPORT)()
    return found


def enqueue_mail(
    *,
    kind: str,
    recipient: str,
    context: dict[str, Any],
    user: AbstractBaseUser | None = None,
    language: str = "",
    expires_at: datetime | None = None,
) -> OutboxMail:
    """Write a mail of `kind` (a file templates/mail/<kind>.txt) in the caller's transaction.

    recipient: a parsed address. language: that of the request, for users who have
    not chosen one; "" for LANGUAGE_CODE. expires_at: the end of the link.
    Sends nothing itself. mail.signals.mail_queued follows after the commit.
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
    user: AbstractBaseUser | None = None,
    language: str = "",
    expires_at: datetime | None = None,
) -> OutboxMail:
    """A mail that is not saved yet; see enqueue_mail()."""
    url = str(context.get("url", ""))
    rest = {name: value for name, value in context.items() if name != "url"}
    # Of another model than ours, the zone is that of the server.
    zone = getattr(user, "time_zone", "")
    language = getattr(user, "language", "") or language or settings.LANGUAGE_CODE
    values = tuple(sorted(rest.items()))
    brand = branding.current()
    text = _render(kind, values, bool(url), language, zone, brand)
    mail = OutboxMail(
        user=user,  # type: ignore[misc]  # whatever AUTH_USER_MODEL is
        recipient=recipient,
        kind=kind,
        subject=text.subject,
        expires_at=expires_at,
    )
    body = {
        "text": text.plain.replace(URL_PLACEHOLDER, url),
        "html": text.html.replace(URL_PLACEHOLDER, escape(url)),
    }
    mail.sealed_body = encrypt(json.dumps(body), _associated_data(mail))
    return mail


def render_message(kind: str, recipient: str, *, language: str = "") -> Message:
    """A mail of `kind` without a link, to send at once instead of queueing it."""
    brand = branding.current()
    text = _render(kind, (), False, language or settings.LANGUAGE_CODE, "", brand)
    return Message(str(uuid7()), recipient, text.subject, text.plain, text.html)


def enqueue(mails: Sequence[OutboxMail]) -> None:
    """Save drafts in the caller's transaction, except those to reserved addresses."""
    mails = [mail for mail in mails if not is_reserved(mail.recipient)]
    if not mails:
        return  # do not wake the worker
    sql.insert(mails)
    transaction.on_commit(lambda: mail_queued.send(sender=OutboxMail))


def deliver_due(limit: int = 100) -> int:
    """Worker job: try up to `limit` due mails; returns how many were sent.

    Several processes may run it at once: a conditional UPDATE decides which one sends a mail.
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
            break  # the next run continues
    return sent


def is_held_up() -> bool:
    """Whether the mail service is down, so that users would request mail again and again.

    A single mailbox that refuses mail does not count, because other mail is sent.
    """
    now = timezone.now()
    waiting = OutboxMail.objects.filter(status__in=UNSENT, created_at__lt=now - STALLED_AFTER)
    lately = OutboxMail.objects.filter(status=Status.SENT, created_at__gt=now - SENT_WITHIN)
    return waiting.exists() and not lately.exists()


def purge_mails(before: datetime) -> int:
    """Delete finished mails created before `before`; returns how many."""
    done = [Status.SENT, Status.DEAD, Status.EXPIRED]
    return delete_free(OutboxMail.objects.filter(created_at__lt=before, status__in=done))


def _claim_next() -> OutboxMail | None:
    """Claim one due mail for LEASE; None if there is none. Takes over expired leases.

    A mail whose process died at the last attempt fails here, because it may be the cause.
    """
    while True:
        mail = claim_next(OutboxMail.objects.all(), LEASE)
        if mail is None:
            return None
        if mail.status == Status.SENDING and mail.attempts > settings.MAIL_MAX_ATTEMPTS:
            _fail(mail, _("The process that sent it ended each time."))
            continue
        return mail


def _deliver(transport: Transport, mail: OutboxMail) -> bool:
    if mail.expires_at is not None and mail.expires_at <= timezone.now():
        release(mail, status=Status.EXPIRED, sealed_body="")
        return False
    try:
        with tracing.span("send mail", {MAIL_KIND: mail.kind}, is_client=True, is_root=True):
            transport.send(_message(mail))
    except DecryptionError:
        _fail(mail, _("The text cannot be read: ENCRYPTION_KEY has changed."))
        return False
    except MailFailed as failure:
        _note_failure(mail, failure)
        return False
    except Exception as error:
        _note_failure(mail, unexpected(error))
        return False
    release(mail, status=Status.SENT, sent_at=timezone.now(), sealed_body="", last_error="")
    return True


def _message(mail: OutboxMail) -> Message:
    """The message of a mail. Raises DecryptionError."""
    body = json.loads(decrypt(mail.sealed_body, _associated_data(mail)))
    return Message(str(mail.pk), mail.recipient, mail.subject, body["text"], body["html"])


def unexpected(error: Exception) -> MailFailed:
    """Turn an unexpected exception into a failure.

    Its text is neither logged nor shown, because libraries put headers and passwords into it.
    """
    trace = traceback.extract_tb(error.__traceback__)[-6:]
    frames = ", ".join(f"{at.filename}:{at.lineno}" for at in trace)
    logger.error(
        "an unexpected error while sending a mail",
        extra={"reason": f"{type(error).__name__} at {frames}"},
    )
    text = _("Unexpected error: %(error)s. The log of the server says where.")
    return MailFailed(text % {"error": type(error).__name__})


def _note_failure(mail: OutboxMail, failure: MailFailed) -> None:
    reason = one_line(str(failure))
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
        _fail(mail, reason)
        return
    release(
        mail,
        status=Status.QUEUED,
        next_attempt_at=now + BACKOFF.delay(mail.attempts, failure.retry_after),
        last_error=reason,
    )


def _fail(mail: OutboxMail, reason: str) -> None:
    with transaction.atomic():
        lock_users(mail.user_id)
        release(mail, status=Status.DEAD, last_error=reason[:REASON_MAX_LENGTH])
        audit_log.record("mail:outbox:dead", target=mail.user, result="failure", kind=mail.kind)


@lru_cache(maxsize=64)
def _render(
    kind: str,
    context: tuple[tuple[str, Any], ...],
    has_url: bool,
    language: str,
    zone: str,
    brand: branding.Brand,
) -> _Text:
    """Render the template of `kind` as text and HTML; its first line is the subject.

    Cached, with URL_PLACEHOLDER for the link, because similar mails differ only in the link.
    """
    url = {"url": URL_PLACEHOLDER} if has_url else {}
    with translation.override(language), timezone.override(zone_of(zone)):
        values = {
            **dict(context),
            **url,
            "public_url": settings.PUBLIC_URL,
            "site_name": brand.name,
            "support": brand.support,
        }
        rendered = render_to_string(f"mail/{kind}.txt", values)
        # A line break in a subject would start a new header.
        subject, _line_end, rest = rendered.strip().partition("\n")
        paragraphs = [part.strip() for part in rest.split("\n\n") if part.strip()]
        parts = [_part(text) for text in paragraphs]
        page = {"parts": parts, "language": language, **_colors(brand)}
        html = render_to_string("mail/layout.html", page)
    return _Text(subject.strip()[:SUBJECT_MAX_LENGTH], "\n\n".join(paragraphs) + "\n", html)


def _colors(brand: branding.Brand) -> dict[str, str]:
    """Of the button in the HTML."""
    palette = brand.palette
    return {"fill": to_hex(palette.fill), "on_fill": to_hex(palette.on_fill)}


def _part(paragraph: str) -> dict[str, str]:
    """A paragraph for the HTML; `Label:` above the link becomes a button."""
    label, _line_end, rest = paragraph.partition("\n")
    if rest.strip() == URL_PLACEHOLDER:
        return {"label": label.rstrip(":"), "url": URL_PLACEHOLDER}
    return {"text": paragraph}


def _associated_data(mail: OutboxMail) -> str:
    return f"outbox.sealed_body:{mail.pk}"
