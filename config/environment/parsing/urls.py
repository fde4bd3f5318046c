"""URLs of settings: split with faults in plain words; what may hold a password is not repeated."""

import re
from urllib.parse import SplitResult, urlsplit

from config.environment.errors import Unreadable
from core.text.plain_text import echo

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?)+|[0-9a-f:.]+", re.ASCII)
SECRETIVE_FIX = "write special characters of the user name and the password percent-encoded"


def split_url(text: str) -> SplitResult:
    """urlsplit() with the port checked. Raises Unreadable without repeating the text."""
    check_printable(text)
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise Unreadable("has a host or a port that cannot be read", SECRETIVE_FIX) from None
    return parts


def check_printable(text: str) -> None:
    """Raise Unreadable for what no URL holds."""
    if not text.isprintable() or " " in text:
        raise Unreadable("contains a space or a control character", SECRETIVE_FIX)


def parse_url(text: str) -> str:
    """An http or https address without a trailing slash; the host in lower case.

    Refuses user names, queries and fragments. The default port of the scheme is cut.
    """
    fix = "write it as https://name or http://name:port"
    parts = split_url(text)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise Unreadable("does not start with https:// or http:// and a host", fix)
    if parts.username is not None or parts.password is not None:
        raise Unreadable("contains a user name or a password", fix)
    if parts.query or parts.fragment:
        raise Unreadable(f"{echo(text)} has a query or a fragment", fix)
    if _HOST.fullmatch(parts.hostname) is None:
        raise Unreadable(f"{echo(text)} has a host name that is not plain ASCII", fix)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    is_usual = parts.port is None or parts.port == DEFAULT_PORTS[parts.scheme]
    port = "" if is_usual else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


def hide_password(url: str) -> str:
    """`url` for display: a password and every query value are replaced by `(set)`."""
    shown = re.sub(r"(://[^/?#]*?:)[^/]*@", r"\1(set)@", url)
    return re.sub(r"\?.*", "?(set)", shown)


def is_unencrypted(url: str) -> bool:
    """Does it lead to another machine without TLS?"""
    parts = urlsplit(url)
    return parts.scheme != "https" and parts.hostname not in LOCAL_HOSTS


def origin_of(text: str) -> str:
    """`text` without its path, query and fragment; as it is when it has no scheme."""
    scheme, separator, rest = text.partition("://")
    return scheme + separator + re.split("[/?#]", rest, maxsplit=1)[0] if separator else text
