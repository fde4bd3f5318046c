"""The ways in which servers read one path. Pure.

Proxies and apps decode a path once or twice, drop `;parameters`, take a backslash for a slash,
merge slashes and resolve dots, in whatever order and one behind another. A path that any such chain
could read as another one has several readings. Rules are asked about each of them, and the
strictest answer counts; so a second spelling neither opens anything nor costs what it does not
mean.
"""

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote

MAX_LENGTH = 8192
# A path of more readings than anybody sends in good faith has none.
MAX_READINGS, MAX_TOTAL = 64, 65_536
# Nearly every path: it reads alike everywhere.
_PLAIN = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~!$&'()*+,=:@-]+)+/?|/")
# Characters whose escapes are no other spelling of them: some servers split first and decode then.
_STRUCTURE = re.compile(r"%(?=2f|5c|25|3b|3f|23)", re.IGNORECASE)
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PARAMETERS = re.compile(r";[^/]*")
_SLASHES = re.compile(r"/{2,}")
_HOST = re.compile(r"\A/{2,}[^/]*")
# What a rule's path may not hold, because no request is compared with it as it stands.
_ODD = re.compile(r"[\\;%?#\x00-\x1f\x7f]|//|(?:^|/)\.{1,2}(?:/|$)")


def readings_of(uri: str) -> tuple[str, ...]:
    """Each way to read the path of `uri`, first the one that is decoded once.

    () for what cannot be told: no path, broken escapes, control characters, no UTF-8, a `#`, and
    what has too many readings. uri: as WSGI has it, each byte a character.
    """
    path, _mark, _query = uri.partition("?")
    if len(path) > MAX_LENGTH:
        return ()
    if _PLAIN.fullmatch(path):
        return (path,)
    if not path.startswith("/") or "#" in path or _BROKEN_ESCAPE.search(path):
        return ()
    try:
        text = bytes_of(path).decode()
        whole = _closure(unquote(text, errors="strict"), unquote(_STRUCTURE.sub("%25", text)))
    except UnicodeDecodeError:
        return ()
    return () if any(map(_CONTROL.search, whole)) else whole


def is_plain(path: str) -> bool:
    """Can a decoded path be compared with requests as it stands?"""
    return path.startswith("/") and _ODD.search(path) is None


def composed(path: str) -> str:
    """Letters with accents as one character, as rules are stored and keyboards type them."""
    return unicodedata.normalize("NFC", path)


def bytes_of(text: str) -> bytes:
    """The bytes that WSGI tells as `text`; of a server that has decoded them, UTF-8."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _closure(*first: str) -> tuple[str, ...]:
    """All that chains of servers could make of these; () when it is too much.

    Raises UnicodeDecodeError.
    """
    found: dict[str, None] = dict.fromkeys(first)
    waiting, total = list(found), sum(map(len, found))
    while waiting:
        text = waiting.pop()
        for read in _WAYS:
            other = read(text)
            if other in found:
                continue
            total += len(other)
            if len(found) >= MAX_READINGS or total > MAX_TOTAL:
                return ()
            found[other] = None
            waiting.append(other)
    return tuple(found)


def _decoded(text: str) -> str:
    return unquote(text, errors="strict") if "%" in text else text


def _without_parameters(text: str) -> str:
    return _PARAMETERS.sub("", text) if ";" in text else text


def _with_slashes(text: str) -> str:
    return text.replace("\\", "/")


def _merged(text: str) -> str:
    return _SLASHES.sub("/", text) if "//" in text else text


def _resolved(text: str) -> str:
    """Without dot segments, as RFC 3986 removes them (section 5.2.4)."""
    if "/." not in text:
        return text
    found: list[str] = []
    parts = text.split("/")[1:]
    for part in parts:
        if part == "..":
            del found[-1:]
        elif part != ".":
            found.append(part)
    if parts[-1] in (".", ".."):
        found.append("")
    return "/" + "/".join(found)


def _without_host(text: str) -> str:
    """As whoever takes what follows two slashes for a host: `new URL(request.url, base)`."""
    return (_HOST.sub("", text) or "/") if text.startswith("//") else text


def _without_query(text: str) -> str:
    """As a server that is handed a decoded `?`."""
    return text.partition("?")[0]


def _without_fragment(text: str) -> str:
    return text.partition("#")[0]


def _without_end(text: str) -> str:
    """As a server that is handed a decoded space at the end of the line."""
    return text.rstrip(" ")


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _compatible(text: str) -> str:
    """Wide letters and slashes as the common ones."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


_WAYS: tuple[Callable[[str], str], ...] = (
    _decoded,
    _without_parameters,
    _with_slashes,
    _merged,
    _resolved,
    _without_host,
    _without_query,
    _without_fragment,
    _without_end,
    _composed,
    _compatible,
)
