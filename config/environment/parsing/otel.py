"""The values of OpenTelemetry's variables. Pure."""

import re
from urllib.parse import unquote

from config.environment.errors import Unreadable
from core.text.plain_text import echo

# RFC 9110, section 5.6.2: what a name of a header may hold.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADERS_FIX = "write name=value, several separated by commas, special characters percent-encoded"
_RATIO = re.compile(r"0|1|0?\.[0-9]{1,15}|[01]\.0{1,15}")


def parse_pairs(text: str) -> dict[str, str]:
    """name=value,name=value as a mapping; values are percent-decoded.

    Raises Unreadable without repeating the text, which may be secret. Source: OpenTelemetry's
    specification of the OTLP exporter, "Specifying headers via environment variables".
    """
    found: dict[str, str] = {}
    for pair in filter(str.strip, text.split(",")):
        name, separator, value = (part.strip() for part in pair.partition("="))
        value = unquote(value)
        if not separator or _TOKEN.fullmatch(name) is None or not value.isprintable():
            raise Unreadable("is not a list of name=value", HEADERS_FIX)
        found[name] = value
    return found


def check_pairs(text: str) -> str:
    """A text that parse_pairs() can read."""
    parse_pairs(text)
    return text


def check_headers(text: str) -> str:
    """See check_pairs(); values are sent in headers, so they have to be latin-1 (RFC 9110, 5.5)."""
    try:
        "".join(parse_pairs(text).values()).encode("latin-1")
    except UnicodeEncodeError:
        raise Unreadable("contains characters that no header holds", HEADERS_FIX) from None
    return text


def check_ratio(text: str) -> str:
    """A number from 0 to 1."""
    if text and _RATIO.fullmatch(text) is None:
        raise Unreadable(f"{echo(text)} is not a number from 0 to 1", "write a part such as 0.1")
    return text
