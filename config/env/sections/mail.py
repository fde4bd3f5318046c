"""Settings of how mail leaves: through Resend, through SMTP, or not at all."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from accounts.addresses import AddressError, parse_email
from config.env.declare import Kind, Section, Variable
from config.env.problems import Unreadable, echo

_SENDER = re.compile(r'(?:"(?P<quoted>[^"<>]*)"|(?P<name>[^"<>]*?))\s*<(?P<address>[^<>]+)>')
_SPECIAL = re.compile(r'[][()<>@,;:\\".]')


class Preset(NamedTuple):
    """The SMTP server of a known mail service; the port follows the encryption."""

    host: str
    encryption: str = "starttls"


# The vendors' own pages on SMTP submission; the names are those of LibreChat's mailer where it
# has one. Every one of them wants a user name and a password.
PRESETS = {
    "gmail": Preset("smtp.gmail.com"),
    "outlook": Preset("smtp-mail.outlook.com"),
    "outlook365": Preset("smtp.office365.com"),
    "office365": Preset("smtp.office365.com"),
    "yahoo": Preset("smtp.mail.yahoo.com", "tls"),
    "icloud": Preset("smtp.mail.me.com"),
    "fastmail": Preset("smtp.fastmail.com", "tls"),
    "mailgun": Preset("smtp.mailgun.org"),
    "sendgrid": Preset("smtp.sendgrid.net"),
    "postmark": Preset("smtp.postmarkapp.com"),
    "brevo": Preset("smtp-relay.brevo.com"),
    "zoho": Preset("smtp.zoho.com", "tls"),
}
PORTS = {"starttls": 587, "tls": 465, "none": 25}


def make_sender(name: str, address: str) -> str:
    """`Name <address>`, the name quoted where RFC 5322 asks for it; the address alone without."""
    if not name:
        return address
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{address}>' if _SPECIAL.search(name) else f"{name} <{address}>"


def split_sender(text: str) -> tuple[str, str]:
    """(name, address) of `address` or `Name <address>`. Raises Unreadable."""
    match = _SENDER.fullmatch(text)
    name = (match["quoted"] or match["name"] or "").strip() if match else ""
    try:
        return name, parse_email(match["address"] if match else text)
    except AddressError:
        fix = "write name@example.com or Name <name@example.com>"
        raise Unreadable(f"{echo(text)} is not a sender", fix) from None


def check_sender(text: str) -> str:
    """The canonical form of a sender."""
    return make_sender(*split_sender(text))


def check_name(text: str) -> str:
    """A display name: one line without angle brackets or quotes."""
    if set(text) & set('<>"'):
        raise Unreadable(f"{echo(text)} holds brackets or quotes", "write the bare name")
    return text


def preset_of(values: Mapping[str, Any]) -> Preset | None:
    """The server of EMAIL_SERVICE, if one is named."""
    return PRESETS.get(values["EMAIL_SERVICE"])


def host_of(values: Mapping[str, Any]) -> str | None:
    """EMAIL_HOST as the service has it."""
    preset = preset_of(values)
    return preset.host if preset else None


def encryption_of(values: Mapping[str, Any]) -> str:
    """EMAIL_ENCRYPTION as the service has it, else STARTTLS."""
    preset = preset_of(values)
    return preset.encryption if preset else "starttls"


def port_of(values: Mapping[str, Any]) -> int:
    """The registered port of EMAIL_ENCRYPTION (RFC 6409, RFC 8314)."""
    return PORTS[values["EMAIL_ENCRYPTION"]]


RESEND = Section(
    "Mail through Resend",
    "Used when RESEND_API_KEY is set, before SMTP. With neither, mail waits in the outbox of the "
    "admin panel and operators hand links on themselves.",
    (
        Variable(
            name="RESEND_API_KEY",
            kind=Kind.SECRET,
            default_note="none",
            origin="Khoj",
            help="The key that Resend issues. Needs RESEND_EMAIL beside it.",
        ),
        Variable(
            name="RESEND_EMAIL",
            kind=Kind.TEXT,
            default_note="none",
            example="Gatehouse <gate@example.com>",
            check=check_sender,
            origin="Khoj",
            help="The sender of mail through Resend: an address, or a name with an address.",
        ),
        Variable(
            name="RESEND_API_URL",
            kind=Kind.URL,
            default="https://api.resend.com",
            example="http://localhost:9000",
            help="Where Resend's interface answers; another address serves tests.",
        ),
    ),
)

SMTP = Section(
    "Mail through SMTP",
    "Used when EMAIL_SERVICE or EMAIL_HOST is set and Resend is not.",
    (
        Variable(
            name="EMAIL_SERVICE",
            kind=Kind.CHOICE,
            choices=tuple(PRESETS),
            default_note="none",
            example="gmail",
            origin="LibreChat",
            fix=f"write one of {', '.join(PRESETS)}, or set EMAIL_HOST instead",
            help=(
                "A known mail service: sets EMAIL_HOST, EMAIL_PORT and EMAIL_ENCRYPTION, each of "
                "which may still be given."
            ),
        ),
        Variable(
            name="EMAIL_HOST",
            kind=Kind.TEXT,
            default_from=host_of,
            default_note="as EMAIL_SERVICE has it, else none",
            example="smtp.example.com",
            origin="LibreChat",
            help="The SMTP server.",
        ),
        Variable(
            name="EMAIL_ENCRYPTION",
            kind=Kind.CHOICE,
            choices=("starttls", "tls", "none"),
            default_from=encryption_of,
            default_note="as EMAIL_SERVICE has it, else starttls",
            example="tls",
            origin="LibreChat",
            help=(
                "starttls demands an upgrade to TLS, tls speaks TLS from the start, none sends "
                "password and links in clear and belongs to a relay on the same machine."
            ),
        ),
        Variable(
            name="EMAIL_PORT",
            kind=Kind.INTEGER,
            default_from=port_of,
            default_note="587 with starttls, 465 with tls, 25 with none",
            example="2525",
            minimum=1,
            maximum=65535,
            origin="LibreChat",
            help="The port of the SMTP server.",
        ),
        Variable(
            name="EMAIL_USERNAME",
            kind=Kind.TEXT,
            default_note="none: no sign-in at the server",
            example="gate@example.com",
            origin="LibreChat",
            help="The user name at the SMTP server.",
        ),
        Variable(
            name="EMAIL_PASSWORD",
            kind=Kind.SECRET,
            default_note="none",
            origin="LibreChat",
            help="The password at the SMTP server; with Gmail an app password.",
        ),
        Variable(
            name="EMAIL_FROM",
            kind=Kind.TEXT,
            default_note="none",
            example="gate@example.com",
            check=check_sender,
            origin="LibreChat",
            help="The sender of mail through SMTP: an address, or a name with an address.",
        ),
        Variable(
            name="EMAIL_FROM_NAME",
            kind=Kind.TEXT,
            default_note="the name in EMAIL_FROM, if there is one",
            example="Gatehouse",
            check=check_name,
            origin="LibreChat",
            help="The name that stands before the address of EMAIL_FROM.",
        ),
        Variable(
            name="EMAIL_ALLOW_SELFSIGNED",
            kind=Kind.BOOL,
            default="false",
            example="true",
            origin="LibreChat",
            help=(
                "Takes any certificate from the SMTP server. Whoever sits between can then read "
                "the links; a certificate of your own authority is better."
            ),
        ),
    ),
)

OUTBOX = Section(
    "Outbox",
    "Every mail is stored before it is sent and tried again when sending fails.",
    (
        Variable(
            name="MAIL_MAX_ATTEMPTS",
            kind=Kind.INTEGER,
            default="8",
            example="5",
            minimum=1,
            maximum=50,
            help=(
                "How often a mail is tried, with growing pauses, before it is set aside as failed."
            ),
        ),
    ),
)
