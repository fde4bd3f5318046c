"""What a proxy asks about: host, path and method of the request that it holds. Pure.

nginx sends X-Original-URL and X-Original-Method; Caddy, Traefik and HAProxy X-Forwarded-Method,
-Proto, -Host and -Uri. Without a method the request counts as a writing one, without a path it
matches no rule of a path: what is not said is never to somebody's advantage.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

MAX_LENGTH = 8192
READING = frozenset({"GET", "HEAD", "OPTIONS"})
_METHOD = re.compile(r"[A-Z]{1,20}")
_HOST = re.compile(r"[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\]")
# What servers disagree about: who reads it otherwise than we would open another path (A139).
_ODD = re.compile(r"[\\;\x00-\x1f\x7f]|//|%|(?:^|/)\.{1,2}(?:/|$)")


class Target(NamedTuple):
    """host: lower case, without port; "" when it is not said. path: decoded once, without query;
    "" when it is not said or can be read in two ways. url: for the way back, "" when unknown.
    """

    host: str
    path: str
    method: str
    url: str

    @property
    def is_reading(self) -> bool:
        return self.method in READING


UNCLEAR = Target("", "", "", "")


def target_of(environ: Mapping[str, str]) -> Target:
    """The target of a check, from the WSGI environment of the proxy's request."""
    scheme = environ.get("HTTP_X_FORWARDED_PROTO", "")
    host = environ.get("HTTP_X_FORWARDED_HOST", "").lower()
    uri = environ.get("HTTP_X_FORWARDED_URI", "")
    method = environ.get("HTTP_X_FORWARDED_METHOD", "")
    original = environ.get("HTTP_X_ORIGINAL_URL", "")
    if original:
        forwarded = (host, uri, method)
        scheme, host, uri = _split(original)
        host, method = host.lower(), environ.get("HTTP_X_ORIGINAL_METHOD", "")
        if _contradict(forwarded, (host, uri, method)):
            return UNCLEAR
    name = clean_host(host)
    is_whole = name and scheme in ("http", "https") and uri.startswith("/")
    return Target(
        host=name,
        path=clean_path(uri),
        method=method if _METHOD.fullmatch(method) else "",
        url=f"{scheme}://{host}{uri}" if is_whole and _is_plain(uri) else "",
    )


def _contradict(forwarded: tuple[str, ...], original: tuple[str, ...]) -> bool:
    """Is the same said in two ways that differ? A proxy speaks one way; a client wrote the other.

    Caddy and Traefik hand on an X-Original-URL that the client made up.
    """
    pairs = zip(forwarded, original, strict=True)
    return any(one and one != other for one, other in pairs)


def clean_host(host: str) -> str:
    """The name without its port; "" for anything that is no host."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, ""
    is_host = _HOST.fullmatch(name) is not None and (not port or port.isdecimal())
    return name.rstrip(".") if is_host else ""


def clean_path(uri: str) -> str:
    """The path of `uri`, decoded once; "" when two servers could read it differently."""
    path = uri.partition("?")[0].partition("#")[0]
    if not path.startswith("/") or len(path) > MAX_LENGTH or path != uri.partition("?")[0]:
        return ""
    try:
        decoded = unquote(path, errors="strict") if "%" in path else path
    except UnicodeDecodeError:
        return ""
    is_odd = _ODD.search(decoded) is not None or "%2f" in path.lower()
    return "" if is_odd else decoded


def _split(url: str) -> tuple[str, str, str]:
    """(scheme, host, path and query) of an absolute address; nothing for another one."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", "", ""
    rest = url.partition("://")[2]
    uri = rest[len(parts.netloc) :]
    return parts.scheme.lower(), parts.netloc, uri or "/"


def _is_plain(uri: str) -> bool:
    return len(uri) <= MAX_LENGTH and uri.isascii() and not re.search(r"[\s\\\x00-\x20\x7f]", uri)
