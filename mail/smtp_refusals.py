"""Classifies SMTP refusals: the recipient is refused, or an administrator has to fix something.

Servers use many codes for the same problem, at different stages: Postfix delays its refusal of a
host name or a sender until RCPT TO. So words and enhanced codes (RFC 3463, RFC 5248) count more
than code and stage. Only a refused recipient is permanent. Pure.
"""

import re

from django.utils.translation import gettext as _

from mail.conf import MailSettings
from mail.smtp import Refusal, Stage

# Codes about the mailbox in RCPT TO (RFC 5321, RFC 7504); 501: invalid address. After DATA, a code
# without words does not refer to the recipient.
_OF_MAILBOX: dict[Stage, tuple[int, ...]] = {
    Stage.RECIPIENT: (501, 550, 551, 552, 553, 556),
    Stage.CONTENT: (),
}
_ENHANCED = re.compile(r"(?<![\d.])5\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
# Addresses and host names, which may contain any word.
_NAMES = re.compile(r"<[^<>\n]*>|\S*@\S*|\b[\w-]+(?:\.[\w-]+)+\b")

_SENDER = re.compile(r"sender|return path|from address|mail from|envelope from|send as|sendas")
_HELLO = re.compile(r"\bhelo\b|\behlo\b")
_RELAY = re.compile(r"relay|rcpthosts|authenticat|not logged in|auth\w* required")
_LIMIT = re.compile(
    r"sending (?:limit|quota)|daily|hourly|per (?:day|hour|minute)|\brate\b|too many"
)
_POLICY = re.compile(
    r"block|black ?list|\bspam|\bspf\b|\bdkim\b|\bdmarc\b|policy|client host|reputation|\btls\b"
    r"|\bssl\b|encrypt|starttls|\bdomain is not verified|sandbox|virus|listed"
)
_RECIPIENT = re.compile(
    r"recipient address rejected|(?:no such|unknown|invalid|bad|nonexistent|non-existent) "
    r"(?:local )?(?:user|mailbox|recipient|address|person|account|destination)"
    r"|(?:user|mailbox|recipient|account|address|addressee)(?: \w+){0,3} "
    r"(?:unknown|unavailable|not found|invalid|disabled|inactive|full|does ?n.t exist|not exist)"
    r"|does not exist|over ?quota|mailbox full|quota exceeded|does not accept mail|null mx"
)
_RECIPIENT_DETAILS = frozenset({0, 1, 2, 3, 4, 5, 6, 9, 10})
_SENDER_DETAILS = frozenset({7, 8})


def is_refused_recipient(refusal: Refusal) -> bool:
    """Whether the recipient is refused permanently, so that another attempt is useless."""
    if refusal.code // 100 != 5 or refusal.stage not in _OF_MAILBOX:
        return False
    words = _words(refusal.text)
    if any(found.search(words) for found in (_SENDER, _HELLO, _RELAY, _LIMIT)):
        return False
    if _RECIPIENT.search(words):
        return True
    enhanced = _enhanced(refusal.text)
    if enhanced is not None:
        subject, detail = enhanced
        is_unroutable = subject == 4 and detail in (1, 4) and refusal.stage is Stage.RECIPIENT
        return (subject == 1 and detail in _RECIPIENT_DETAILS) or subject == 2 or is_unroutable
    return not _POLICY.search(words) and refusal.code in _OF_MAILBOX[refusal.stage]


def fix_for(refusal: Refusal, mail: MailSettings) -> str:
    """What an administrator has to do, in a sentence."""
    words, enhanced = _words(refusal.text), _enhanced(refusal.text)
    is_about_sender = enhanced is not None and enhanced[0] == 1 and enhanced[1] in _SENDER_DETAILS
    if refusal.stage is Stage.HELLO or _HELLO.search(words):
        text = _("Set EMAIL_EHLO_NAME to a full host name; this machine greets as %(name)s.")
        return text % {"name": mail.ehlo_name}
    if enhanced in ((4, 5), (2, 3), (7, 28)) or _LIMIT.search(words):
        return _("The sending limit of the mail account is used up. Wait, or ask for a higher one.")
    if refusal.stage is Stage.SIGN_IN:
        return _("Correct EMAIL_USERNAME and EMAIL_PASSWORD. Some services want an app password.")
    if refusal.stage is Stage.ENCRYPT:
        return _("The mail server offers TLS and then refuses it. Fix that on the mail server.")
    if is_about_sender or _SENDER.search(words):
        return _("Set EMAIL_FROM to an address that the mail server lets this account send from.")
    if refusal.code in (530, 534, 535, 538) or _RELAY.search(words):
        return _relay_fix(mail)
    if refusal.stage is Stage.SENDER and not _POLICY.search(words):
        return _("Set EMAIL_FROM to an address that the mail server lets this account send from.")
    return _("The mail server refuses mail of this instance. Look at its rules (SPF, DKIM, lists).")


def _relay_fix(mail: MailSettings) -> str:
    if not mail.username:
        return _(
            "Set EMAIL_USERNAME and EMAIL_PASSWORD, or let the mail server relay for Gatehouse."
        )
    return _("Let the mail server relay for EMAIL_USERNAME, or use the server of its own domain.")


def _enhanced(text: str) -> tuple[int, int] | None:
    found = _ENHANCED.search(text)
    return (int(found[1]), int(found[2])) if found else None


def _words(text: str) -> str:
    """The words of a reply, in lower case and on one line."""
    return " ".join(_NAMES.sub(" ", text.lower()).split())
