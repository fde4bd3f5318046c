"""The request that a proxy asks about: host, path and method. Pure.

nginx sends X-Original-URL and X-Original-Method; Caddy, Traefik and HAProxy X-Forwarded-Method,
-Proto, -Host and -Uri. Nothing is gained by omission: without a method the request counts as
writing, and without a path it matches no rule with a path.
"""

import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from forward_auth.rules.path_readings import MAX_LENGTH, bytes_of, readings_of

READING = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT", "SEARCH", "QUERY"})
_METHOD = re.compile(r"[A-Z][A-Z-]{0,19}")
_HOST = re.compile(r"[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\]")
# Characters that need no escape in a URL.
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_UNPRINTABLE = re.compile(r"[\\\x00-\x20\x7f]")


class Target(NamedTuple):
    """host: lower case, without port; "" when missing. path: decoded once, without query; "" when
    missing or unreadable. url: to return to after sign-in, "" when unknown. others: further ways in
    which servers may read the path.
    """

    host: str
    path: str
    method: str
    url: str
    others: tuple[str, ...] = ()

    @property
    def is_reading(self) -> bool:
        return self.method in READING

    @property
    def readings(self) -> tuple["Target", ...]:
        """A target for each reading of the path, beginning with this one."""
        one = self._replace(others=())
        return (one, *(one._replace(path=path) for path in self.others))


UNCLEAR = Target("", "", "", "")


def target_of(environ: Mapping[str, str]) -> Target:
    """The target of a check, from the WSGI environment of the proxy's request.

    A header that is present but unreadable (an empty X-Original-URL) counts, so no other header is
    trusted in its place.
    """
    scheme = environ.get("HTTP_X_FORWARDED_PROTO", "")
    host = environ.get("HTTP_X_FORWARDED_HOST", "").lower()
    uri = environ.get("HTTP_X_FORWARDED_URI", "")
    method = environ.get("HTTP_X_FORWARDED_METHOD", "")
    original_method = environ.get("HTTP_X_ORIGINAL_METHOD", "")
    if "HTTP_X_ORIGINAL_URL" in environ:
        forwarded = (host, uri, method)
        scheme, host, uri = _split(environ["HTTP_X_ORIGINAL_URL"])
        host, method = host.lower(), original_method
        if _contradict(forwarded, (host, uri, method)):
            return UNCLEAR
    elif original_method:
        if method and method != original_method:
            return UNCLEAR
        method = original_method
    paths = readings_of(uri)
    return Target(
        host=clean_host(host),
        path=paths[0] if paths else "",
        method=method if _METHOD.fullmatch(method) else "",
        url=_link(scheme, host, uri),
        others=paths[1:],
    )


def _contradict(forwarded: tuple[str, ...], original: tuple[str, ...]) -> bool:
    """Whether both kinds of headers are present and differ.

    A proxy sends one kind, so the other comes from the client: Caddy and Traefik pass on an
    X-Original-URL that the client made up.
    """
    pairs = zip(forwarded, original, strict=True)
    return any(one and one != other for one, other in pairs)


def clean_host(host: str) -> str:
    """The host without its port; "" for anything that is no host. IPv6 in its short form."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, ""
    if _HOST.fullmatch(name) is None or (port and not port.isdecimal()):
        return ""
    return _clean_address(name[1:-1]) if name.startswith("[") else name.rstrip(".")


def _clean_address(text: str) -> str:
    """An IPv6 address in brackets; an IPv4-mapped one as IPv4; "" for anything else."""
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return ""
    return str(address.ipv4_mapped) if address.ipv4_mapped else f"[{address}]"


def _split(url: str) -> tuple[str, str, str]:
    """(scheme, host, path and query) of an absolute URL; empty texts for anything else."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", "", ""
    if not parts.scheme or not parts.netloc:
        return "", "", ""
    uri = url.partition("://")[2][len(parts.netloc) :]
    return parts.scheme.lower(), parts.netloc, uri or "/"


def _link(scheme: str, host: str, uri: str) -> str:
    """The requested URL in ASCII; "" when it would not lead back there."""
    is_whole = clean_host(host) and scheme in ("http", "https") and uri.startswith("/")
    if not is_whole or len(uri) > MAX_LENGTH or _UNPRINTABLE.search(uri):
        return ""
    # Non-ASCII characters are escaped byte by byte, as browsers do.
    return f"{scheme}://{host}{uri if uri.isascii() else quote(bytes_of(uri), safe=_PRINTABLE)}"
