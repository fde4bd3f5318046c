"""Settings of how mail leaves: through Resend, through SMTP, or not at all."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, cast

from config.environment.errors import Problem, Unreadable
from config.environment.schema import Section, Values, choice, integer, secret, switch, text, url
from core.text.email_addresses import AddressError, ascii_domain, parse_email
from core.text.plain_text import echo

Encryption = Literal["auto", "starttls", "tls", "none"]
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
PORTS = {"auto": 587, "starttls": 587, "tls": 465, "none": 25}
# RFC 8314: servers on this port use TLS from the first byte.
IMPLICIT_TLS_PORT = 465
# A container may be called mail_server; a label is never empty.
_HOST_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"{_HOST_LABEL}(?:\.{_HOST_LABEL})*")
_HOST_PORT = re.compile(r"(?P<host>[^:/]+|\[[^\]/]+\]):(?P<port>[0-9]{1,5})")
_LITERAL = re.compile(r"\[(?:ipv6:)?(?P<address>[0-9a-f:.]+)\]", re.IGNORECASE)


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
        raise Unreadable(f"{echo(text)} contains brackets or quotes", "write the bare name")
    return text


def preset_of(values: Values) -> Preset | None:
    """The server of EMAIL_SERVICE, if one is named."""
    return PRESETS.get(values["EMAIL_SERVICE"] or "")


def host_of(values: Mapping[str, Any]) -> str | None:
    """EMAIL_HOST as the service has it."""
    preset = preset_of(values)
    return preset.host if preset else None


def port_of(values: Mapping[str, Any]) -> int:
    """The registered port of EMAIL_ENCRYPTION, or of EMAIL_SERVICE (RFC 6409, RFC 8314)."""
    preset = preset_of(values)
    if preset and values["EMAIL_ENCRYPTION"] == "auto":
        return PORTS[preset.encryption]
    return PORTS[values["EMAIL_ENCRYPTION"]]


def effective_encryption(values: Values) -> Encryption:
    """What EMAIL_ENCRYPTION means with this port: 465 is TLS from the start, whatever it says.

    A known service offers STARTTLS everywhere else, so there it is demanded.
    """
    if values["EMAIL_PORT"] == IMPLICIT_TLS_PORT:
        return "tls"
    if values["EMAIL_ENCRYPTION"] == "auto" and preset_of(values):
        return "starttls"
    return cast("Encryption", values["EMAIL_ENCRYPTION"])


def check_implicit_tls(values: Mapping[str, Any]) -> Iterator[Problem]:
    """A warning: EMAIL_ENCRYPTION says something that port 465 does not do."""
    said = values["EMAIL_ENCRYPTION"]
    is_other = said in ("starttls", "none")
    if values["EMAIL_HOST"] and is_other and values["EMAIL_PORT"] == IMPLICIT_TLS_PORT:
        what = f"is {said}, but port 465 speaks TLS from the start, which is used"
        yield Problem("EMAIL_ENCRYPTION", what, "write tls or remove it, or set EMAIL_PORT=587")


def check_host(text: str) -> str:
    """EMAIL_HOST: one bare host name in ASCII, or an address. Raises Unreadable with the fix."""
    scheme, separator, rest = text.rpartition("://")
    if separator:
        bare, port = _split_port(rest.split("/")[0])
        port = port or {"smtps": "465", "smtp": "", "submission": "587"}.get(scheme.lower(), "")
        raise Unreadable(f"{echo(text)} has a scheme", _write(bare, port))
    if "@" in text:
        fix = _write(_split_port(text.rpartition("@")[2])[0])
        raise Unreadable(f"{echo(text)} contains a user name", f"{fix}, and EMAIL_USERNAME")
    if "/" in text:
        raise Unreadable(f"{echo(text)} has a path", _write(*_split_port(text.split("/")[0])))
    bare, port = _split_port(text)
    if port:
        raise Unreadable(f"{echo(text)} has a port", _write(bare, port))
    return _bare_host(text)


def _bare_host(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        pass  # a name, then
    try:
        name = ascii_domain(text.lower().rstrip("."))
    except AddressError:
        name = ""
    if len(name) > 253 or _HOST_NAME.fullmatch(name) is None:
        raise Unreadable(
            f"{echo(text)} is not a host name", "write a name such as smtp.example.com"
        )
    return name


def _split_port(text: str) -> tuple[str, str]:
    match = _HOST_PORT.fullmatch(text.rpartition("@")[2])
    return (match["host"], match["port"]) if match else (text, "")


def _write(host: str, port: str = "") -> str:
    """The fix: what the host alone is, and where its port belongs."""
    beside = f" and EMAIL_PORT={port}" if port else ""
    return f"write EMAIL_HOST={host or 'smtp.example.com'}{beside}"


def check_ehlo_name(text: str) -> str:
    """A host name, or an address in brackets as RFC 5321 writes it."""
    literal = _LITERAL.fullmatch(text)
    if literal is None:
        try:
            ipaddress.ip_address(text)
        except ValueError:
            return _bare_host(text)
        raise Unreadable(f"{echo(text)} is an address without brackets", f"write [{text}]")
    try:
        address = ipaddress.ip_address(literal["address"])
    except ValueError:
        raise Unreadable(f"{echo(text)} is no address", "write a host name") from None
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"


def check_api_key(text: str) -> str:
    """A key that fits into a header."""
    if not text.isascii() or not text.isprintable() or " " in text.strip():
        raise Unreadable("contains characters that no key of Resend has", "copy the key again")
    return text.strip()


RESEND = Section(
    "Mail through Resend",
    "Used if RESEND_API_KEY is set, in preference to SMTP. With neither, mail waits in the outbox "
    "of the admin panel, and administrators pass links on themselves.",
    secret("RESEND_API_KEY", default_note="none", check=check_api_key, origin="Khoj").with_help(
        "The API key of Resend. Requires RESEND_EMAIL."
    ),
    text(
        "RESEND_EMAIL",
        default_note="none",
        example="Gatehouse <gate@example.com>",
        check=check_sender,
        origin="Khoj",
    ).with_help("The sender of mail by Resend: an address, or a name and an address."),
    url(
        "RESEND_API_URL", default="https://api.resend.com", example="http://localhost:9000"
    ).with_help("The URL of Resend's API. Change it for tests only."),
)

SMTP = Section(
    "Mail through SMTP",
    "Used if EMAIL_SERVICE or EMAIL_HOST is set and Resend is not.",
    choice(
        "EMAIL_SERVICE",
        default_note="none",
        example="gmail",
        choices=tuple(PRESETS),
        origin="LibreChat",
        fix=f"write one of {', '.join(PRESETS)}, or set EMAIL_HOST instead",
    ).with_help(
        "A known mail service. It sets EMAIL_HOST, EMAIL_PORT and EMAIL_ENCRYPTION, which you can "
        "still override."
    ),
    text(
        "EMAIL_HOST",
        default=host_of,
        default_note="as EMAIL_SERVICE has it, else none",
        example="smtp.example.com",
        check=check_host,
        origin="LibreChat",
    ).with_help("The host name of the SMTP server, without scheme and port."),
    choice(
        "EMAIL_ENCRYPTION",
        default="auto",
        example="tls",
        choices=("auto", "starttls", "tls", "none"),
        origin="LibreChat",
    ).with_help(
        "auto uses TLS from the start on port 465, and STARTTLS elsewhere if the server offers it; "
        "a known EMAIL_SERVICE must offer it. It never sends the password without TLS. starttls "
        "requires an upgrade to TLS, tls uses TLS from the start, and none sends password and "
        "links without TLS, which is right only for a relay on this machine. Port 465 always uses "
        "TLS from the start."
    ),
    integer(
        "EMAIL_PORT",
        default=port_of,
        default_note="as EMAIL_SERVICE has it, else 465 with tls, 25 with none, 587 otherwise",
        example="2525",
        bounds=(1, 65535),
        origin="LibreChat",
    ).with_help("The port of the SMTP server."),
    text(
        "EMAIL_EHLO_NAME",
        default_note="the host of PUBLIC_URL",
        example="gate.example.com",
        check=check_ehlo_name,
    ).with_help(
        "The name with which this machine introduces itself to the SMTP server. Some servers "
        "refuse a name that is not fully qualified, such as localhost."
    ),
    text(
        "EMAIL_USERNAME",
        default_note="none: no sign-in at the server",
        example="gate@example.com",
        origin="LibreChat",
    ).with_help("The user name at the SMTP server."),
    secret("EMAIL_PASSWORD", default_note="none", origin="LibreChat").with_help(
        "The password at the SMTP server. Gmail needs an app password."
    ),
    text(
        "EMAIL_FROM",
        default_note="none",
        example="gate@example.com",
        check=check_sender,
        origin="LibreChat",
    ).with_help("The sender of mail by SMTP: an address, or a name and an address."),
    text(
        "EMAIL_FROM_NAME",
        default_note="the name in EMAIL_FROM, if there is one",
        example="Gatehouse",
        check=check_name,
        origin="LibreChat",
    ).with_help("The name in front of the address of EMAIL_FROM."),
    switch("EMAIL_ALLOW_SELFSIGNED", default=False, origin="LibreChat").with_help(
        "Accepts any certificate of the SMTP server. Anyone between can then read the links; a "
        "certificate of your own authority is better."
    ),
)

OUTBOX = Section(
    "Outbox",
    "Every mail is stored before it is sent, and sent again after a failure.",
    integer("MAIL_MAX_ATTEMPTS", default=8, example="5", bounds=(1, 50)).with_help(
        "How often sending a mail is attempted, with growing pauses, before it counts as failed. "
        "Failures that you must fix, such as a wrong password or a refused sender, are not "
        "counted: the mail waits for up to 30 days."
    ),
)
