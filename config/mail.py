"""The two ways for mail to leave: Resend's API through its own package, and SMTP."""

import smtplib
import ssl
from datetime import timedelta
from functools import cached_property
from typing import Any

import resend
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.smtp import EmailBackend
from resend.exceptions import ResendError

from accounts.outbox import MailFailed, Message, Transport
from config.env.mailing import MailSettings

TIMEOUT_SECONDS = 5
# Refusals that another try of the same mail cannot mend (https://resend.com/docs/api-reference/errors).
RESEND_PERMANENT = {400, 413, 422}
SMTP_PERMANENT = range(500, 600)
# A wrong password or a closed service is for the operator to mend: the mail waits.
SMTP_OURS = {530, 534, 535, 538}


def transport() -> Transport | None:
    """What settings.MAIL asks for; None when no mail service is configured."""
    mail: MailSettings = settings.MAIL
    if mail.transport == "resend":
        return ResendTransport(mail)
    return SMTPTransport(mail) if mail.transport == "smtp" else None


class ResendTransport:
    """POST /emails with the mail's id as Idempotency-Key: a repeated try is not a second mail."""

    def __init__(self, mail: MailSettings) -> None:
        self.sender = mail.sender
        resend.api_key = mail.api_key
        resend.api_url = mail.api_url
        resend.default_http_client = resend.RequestsClient(timeout=TIMEOUT_SECONDS)

    def send(self, message: Message) -> None:
        params: resend.Emails.SendParams = {
            "from": self.sender,
            "to": [message.recipient],
            "subject": message.subject,
            "text": message.text,
            "html": message.html,
        }
        try:
            resend.Emails.send(params, {"idempotency_key": message.id})
        except ResendError as error:
            raise MailFailed(
                f"Resend: {error.code} {error.error_type}: {error.message}",
                is_permanent=_number(error.code) in RESEND_PERMANENT,
                retry_after=_retry_after(error.headers),
            ) from None


class SMTPTransport:
    """One connection for each mail, through Django's backend."""

    def __init__(self, mail: MailSettings) -> None:
        self.mail = mail

    def send(self, message: Message) -> None:
        letter = EmailMultiAlternatives(
            message.subject,
            message.text,
            self.mail.sender,
            [message.recipient],
            headers={
                "Message-ID": f"<{message.id}@{settings.PUBLIC_HOSTNAME}>",
                "Auto-Submitted": "auto-generated",  # RFC 3834: no out-of-office answers
            },
        )
        letter.attach_alternative(message.html, "text/html")
        try:
            self._backend().send_messages([letter])
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            raise _smtp_failure(code, text) from None
        except smtplib.SMTPResponseException as error:
            raise _smtp_failure(error.smtp_code, error.smtp_error) from None
        except (OSError, smtplib.SMTPException) as error:
            raise MailFailed(f"SMTP: {type(error).__name__}: {error}") from None

    def _backend(self) -> EmailBackend:
        mail = self.mail
        backend = _Backend if mail.allow_selfsigned else EmailBackend
        return backend(
            host=mail.host,
            port=mail.port,
            username=mail.username,
            password=mail.password,
            use_tls=mail.encryption == "starttls",
            use_ssl=mail.encryption == "tls",
            timeout=TIMEOUT_SECONDS,
        )


class _Backend(EmailBackend):
    """For EMAIL_ALLOW_SELFSIGNED: encrypts without knowing to whom."""

    @cached_property
    def ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


def _smtp_failure(code: int, text: bytes | str) -> MailFailed:
    shown = text.decode(errors="replace") if isinstance(text, bytes) else text
    is_permanent = code in SMTP_PERMANENT and code not in SMTP_OURS
    return MailFailed(f"SMTP: {code} {shown}", is_permanent=is_permanent)


def _retry_after(headers: dict[str, str]) -> timedelta | None:
    """The Retry-After header in seconds; None for none and for a date."""
    lowered: dict[str, Any] = {name.lower(): value for name, value in headers.items()}
    seconds = _number(lowered.get("retry-after", ""))
    return timedelta(seconds=seconds) if seconds else None


def _number(value: object) -> int:
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdigit() else 0
