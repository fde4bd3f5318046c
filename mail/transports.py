"""The mail transports: SMTP, and which one the settings name."""

import re
import smtplib
import ssl
from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from mail.conf import MailSettings
from mail.outbox import Examined, MailFailed, Message, Transport, unexpected
from mail.smtp import Conversation, Refusal, Stage, Unusable
from mail.smtp_refusals import fix_for, is_refused_recipient

HIDDEN = "•••"
# OpenSSL's errors if the server answers without TLS.
NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")


def transport() -> Transport | None:
    """The transport of settings.MAIL; None without a mail service."""
    mail: MailSettings = settings.MAIL
    if mail.transport == "resend":  # only here, because its package has a hundred modules
        resend: Transport = import_string("mail.resend_transport.ResendTransport")(mail)
        return resend
    return SMTPTransport(mail) if mail.transport == "smtp" else None


class SMTPTransport:
    """One connection for each mail."""

    def __init__(self, mail: MailSettings) -> None:
        self.mail = mail

    def send(self, message: Message) -> None:
        found = self.examine(message)
        if found.failure is not None:
            raise found.failure

    def examine(self, message: Message | None = None) -> Examined:
        """Connect, encrypt, sign in and send `message`; without a message only sign in."""
        talk = Conversation(self.mail)
        failure: MailFailed | None = None
        try:
            content = None if message is None else self._content(message)
            with talk.open() as client:
                if message is not None and content is not None:
                    talk.send(client, parseaddr(self.mail.sender)[1], message.recipient, content)
        except Refusal as refusal:
            failure = self._refused(refusal)
        except Unusable as error:
            failure = self._unusable(error)
        except ssl.SSLError as error:
            failure = self._not_encrypted(error)
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            failure = self._broken(error, talk)
        except Exception as error:
            failure = unexpected(error)
        if failure is not None:
            talk.dialogue.note("*", failure.reason)
        return Examined(talk.dialogue.lines, failure)

    def _content(self, message: Message) -> bytes:
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
        return letter.message().as_bytes()

    def _refused(self, refusal: Refusal) -> MailFailed:
        reason = f"SMTP: {refusal.code} {_without_links(refusal.text)}"
        if is_refused_recipient(refusal):
            return MailFailed(reason, is_permanent=True)
        is_final = refusal.code // 100 == 5
        return MailFailed(
            reason, fix=fix_for(refusal, self.mail) if is_final else "", waits_for_fix=is_final
        )

    def _unusable(self, error: Unusable) -> MailFailed:
        host, lack = self.mail.host, Unusable.Lack
        encrypt_fix = _("Set EMAIL_PORT=465 or EMAIL_ENCRYPTION=tls, or enable STARTTLS there.")
        texts = {
            lack.STARTTLS: (
                f"SMTP: {host} does not offer STARTTLS",
                encrypt_fix,
            ),
            lack.PASSWORD_IN_CLEAR: (
                f"SMTP: {host} does not offer STARTTLS, and EMAIL_PASSWORD is not sent in clear",
                encrypt_fix,
            ),
            lack.SIGN_IN: (
                f"SMTP: {host} offers no sign-in",
                _("Remove EMAIL_USERNAME and EMAIL_PASSWORD, or correct EMAIL_PORT."),
            ),
            lack.MECHANISM: (
                f"SMTP: {host} offers {error.offered} only",
                _("Let the mail server accept PLAIN or LOGIN, or use another server."),
            ),
        }
        reason, fix = texts[error.lack]
        return MailFailed(reason, fix=fix, waits_for_fix=True)

    def _not_encrypted(self, error: ssl.SSLError) -> MailFailed:
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = f"SMTP: the certificate of {self.mail.host} is refused: {error.verify_message}"
            fix = _("Fix the certificate of the mail server, or set EMAIL_HOST to the name in it.")
            return MailFailed(reason, fix=fix, waits_for_fix=True)
        reason = f"SMTP: TLS failed: {error.reason or type(error).__name__}"
        if error.reason in NOT_TLS and self.mail.encryption == "tls":
            fix = _("This port does not speak TLS from the start: set EMAIL_PORT=587.")
            return MailFailed(reason, fix=fix, waits_for_fix=True)
        return MailFailed(reason)

    def _broken(self, error: Exception, talk: Conversation) -> MailFailed:
        """No reply or an invalid one: retry up to MAIL_MAX_ATTEMPTS."""
        reason = talk.dialogue.hide(f"SMTP: {type(error).__name__}: {error}")
        if isinstance(error, UnicodeError):
            # Its text quotes the input.
            reason = f"SMTP: {type(error).__name__}"
        if talk.dialogue.stage is Stage.CONNECT:
            return MailFailed(reason, fix=reach_fix())
        return MailFailed(reason)


def reach_fix() -> str:
    """What to do about a mail service that does not answer."""
    return _("Check EMAIL_HOST and EMAIL_PORT (or RESEND_API_URL) and the firewall.")


def _without_links(text: str) -> str:
    """Hide our links: a spam filter may quote the link, and a link signs a user in."""
    return re.sub(re.escape(settings.PUBLIC_URL) + r"\S+", f"{settings.PUBLIC_URL}/{HIDDEN}", text)
