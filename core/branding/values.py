"""Which names, colors and support addresses are allowed. Pure."""

from urllib.parse import urlsplit

from core.branding.colors import parse, to_hex
from core.text.email_addresses import AddressError, gettext_noop, parse_email
from core.text.plain_text import clean_name

MAX_NAME, MAX_SUPPORT = 40, 200
DEFAULT_NAME, DEFAULT_COLOR = "Gatehouse", "#0f766e"

TOO_LONG = gettext_noop("Write at most 40 visible characters.")
NOT_ONE_LINE = gettext_noop("Write one line of plain text, without control characters.")
NO_BRACKETS = gettext_noop("Leave out < > and quotation marks.")
NOT_A_COLOR = gettext_noop("Write a color as #rrggbb, such as #0f766e.")
NOT_AN_ADDRESS = gettext_noop("Write an email address, or an address that begins with https://.")


class ValueInvalid(ValueError):
    """The value is not allowed; the message, to be translated, says how to fix it."""


def clean_site_name(text: str) -> str:
    """The name as it is stored; "" for the default. Raises ValueInvalid.

    It stands in page titles and in subjects of mails, so it is one line of visible text.
    """
    name = clean_name(text, MAX_NAME + 1)
    if len(name) > MAX_NAME or (text.strip() and not name):
        raise ValueInvalid(TOO_LONG)
    if name != " ".join(part for part in text.split(" ") if part):
        raise ValueInvalid(NOT_ONE_LINE)
    if set(name) & set('<>"'):
        raise ValueInvalid(NO_BRACKETS)
    return name


def clean_color(text: str) -> str:
    """`#rrggbb` in lower case; "" for the default. Raises ValueInvalid."""
    text = text.strip()
    color = parse(text)
    if text and color is None:
        raise ValueInvalid(NOT_A_COLOR)
    return to_hex(color) if color else ""


def clean_support(text: str) -> str:
    """An email address or an https URL; "" for none. Raises ValueInvalid.

    It becomes a link, so no other scheme is allowed.
    """
    text = text.strip()
    if not text:
        return ""
    error = ValueInvalid(NOT_AN_ADDRESS)
    if len(text) > MAX_SUPPORT or not text.isprintable() or " " in text:
        raise error
    if text.lower().startswith("https://"):
        try:
            parts = urlsplit(text)
            is_plain = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        except ValueError:
            is_plain = False
        if not is_plain or set(text) & set('<>"\\^`{|}'):
            raise error
        return text
    try:
        return parse_email(text)
    except AddressError:
        raise error from None


def support_url(support: str) -> str:
    """The link of a support address; "" without one."""
    if not support or support.lower().startswith("https://"):
        return support
    return f"mailto:{support}"
