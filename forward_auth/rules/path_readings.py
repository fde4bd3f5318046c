"""The ways in which servers read one path. Pure.

Proxies and apps decode a path once or twice, drop `;parameters`, treat a backslash as a slash,
merge slashes and resolve dots, in any order and one after another. A path that any such chain may
read as another one has several readings. Rules are applied to each of them, and the strictest
result counts, so another spelling of a path grants no access.
"""

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote

MAX_LENGTH = 8192
# A path with more readings than this counts as unreadable: no one sends it in good faith.
MAX_READINGS, MAX_TOTAL = 64, 65_536
# Nearly every path: all servers read it alike.
_PLAIN = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~!$&'()*+,=:@-]+)+/?|/")
# An escape of these differs from the character: some servers split first and decode afterwards.
_STRUCTURE = re.compile(r"%(?=2f|5c|25|3b|3f|23)", re.IGNORECASE)
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PARAMETERS = re.compile(r";[^/]*")
_SLASHES = re.compile(r"/{2,}")
_HOST = re.compile(r"\A/{2,}[^/]*")
# What the path of a rule must not contain, because no request is compared in that form.
_ODD = re.compile(r"[\\;%?#\x00-\x1f\x7f]|//|(?:^|/)\.{1,2}(?:/|$)")


def readings_of(uri: str) -> tuple[str, ...]:
    """Each reading of the path of `uri`, beginning with the path decoded once.

    () for an unreadable path: none, broken escapes, control characters, not UTF-8, a `#`, or too
    many readings. uri: as in WSGI, each byte one character.
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
    """Whether requests can be compared with this decoded path."""
    return path.startswith("/") and _ODD.search(path) is None


def composed(path: str) -> str:
    """Letters with accents as one character (NFC), as rules are stored."""
    return unicodedata.normalize("NFC", path)


def bytes_of(text: str) -> bytes:
    """The bytes of a WSGI text; UTF-8 if a server has decoded it."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _closure(*first: str) -> tuple[str, ...]:
    """Everything that chains of servers may make of these; () when there are too many.

    Raises UnicodeDecodeError.
    """
    found: dict[str, None] = dict.fromkeys(first)
    waiting, total = list(found), sum(map(len, found))
    while waiting:
        text = waiting.pop()
        for transform in _TRANSFORMS:
            other = transform(text)
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
    """Remove dot segments (RFC 3986, section 5.2.4)."""
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
    """Like `new URL(request.url, base)`, which takes what follows two slashes for a host."""
    return (_HOST.sub("", text) or "/") if text.startswith("//") else text


def _without_query(text: str) -> str:
    """Like a server that receives a decoded `?`."""
    return text.partition("?")[0]


def _without_fragment(text: str) -> str:
    return text.partition("#")[0]


def _without_end(text: str) -> str:
    """Like a server that receives a decoded space at the end of the line."""
    return text.rstrip(" ")


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _compatible(text: str) -> str:
    """Full-width letters and slashes as ASCII (NFKC)."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


_TRANSFORMS: tuple[Callable[[str], str], ...] = (
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
