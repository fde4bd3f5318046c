"""Step 1 of a check: what the proxy asks, read from the headers of its request. Pure.

nginx sends X-Original-URL and X-Original-Method; Caddy, Traefik and HAProxy X-Forwarded-Method,
-Proto, -Host and -Uri. Nothing is gained by omission: without a method the request counts as
writing, and without a path it matches no rule with a path.

The cache key comes in two forms, which must be equal: from a WSGI environment, and straight from
the ASGI scope of the request, which is all that a cached check reads.
"""

import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv6Address
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

from django.http import parse_cookie

from accounts.roles import Role
from forward_auth.rules.path_readings import MAX_LENGTH, bytes_of, readings_of

Environ = Mapping[str, Any]
Scope = Mapping[str, Any]
# The parts with a credential first, then the others.
KeyParts = tuple[str, ...]
CREDENTIAL_PARTS = 3
SEPARATOR = "\n"
# Characters of one header line. URLs may have 8 kB, and browsers store that much in cookies.
MAX_HEADER_LENGTH = 16_384
# A client of the Unix socket is a proxy on this machine: file permissions decide who may connect.
UNIX_PEER = "127.0.0.1"
# A request of the live test of an app, see forward_auth.services.probes; and the key that lists its
# headers with an underscore in their name, which are dropped. No header gets a key in lower case.
PROBE_KEY, DROPPED_NAMES = "HTTP_X_GATEHOUSE_PROBE", "gatehouse.dropped_names"
# Methods that count as reading.
READING = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT", "SEARCH", "QUERY"})
# The purpose that the digest of a ForwardAuthCookie is bound to.
# Browsers hold cookies with this purpose, and proxies remove the cookie by its name.
COOKIE_PURPOSE = "gate"
ROLES = {role.value: role for role in Role}
_METHOD = re.compile(r"[A-Z][A-Z-]{0,19}")
_HOST = re.compile(r"[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\]")
# Characters that need no escape in a URL.
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_UNPRINTABLE = re.compile(r"[\\\x00-\x20\x7f]")


def cache_key_parts(environ: Environ) -> KeyParts:
    """The parts of the cache key, "" for a missing header.

    For three headers, an empty value differs from a missing one. Written out, because a loop over
    the names takes half as long again.
    """
    key, bearer = environ.get("HTTP_X_API_KEY"), environ.get("HTTP_AUTHORIZATION")
    original = environ.get("HTTP_X_ORIGINAL_URL")
    return (
        "" if key is None else f"={key}",
        "" if bearer is None else f"={bearer}",
        environ.get("HTTP_COOKIE", ""),
        # An empty URL is as unreadable as "=".
        "" if original is None else original or "=",
        environ.get("HTTP_X_ORIGINAL_METHOD", ""),
        environ.get("HTTP_X_FORWARDED_PROTO", ""),
        environ.get("HTTP_X_FORWARDED_HOST", ""),
        environ.get("HTTP_X_FORWARDED_URI", ""),
        environ.get("HTTP_X_FORWARDED_METHOD", ""),
        environ.get("HTTP_X_FORWARDED_FOR", ""),
        environ.get("QUERY_STRING", ""),
        environ.get("REMOTE_ADDR", ""),
    )


def cache_key_of_scope(scope: Scope) -> bytes | None:
    """The joined and encoded cache_key_parts() of an ASGI scope.

    None when a header is repeated or not ASCII: then the WSGI environment decides. Names with an
    underscore are ignored, as the server ignores them.
    """
    headers = scope["headers"]
    by_name = dict(headers)
    if len(by_name) != len(headers):
        return None
    get = by_name.get
    key, bearer, original = get(b"x-api-key"), get(b"authorization"), get(b"x-original-url")
    joined = b"\n".join((
        b"" if key is None else b"=" + key,
        b"" if bearer is None else b"=" + bearer,
        get(b"cookie", b""),
        b"" if original is None else original or b"=",
        get(b"x-original-method", b""),
        get(b"x-forwarded-proto", b""),
        get(b"x-forwarded-host", b""),
        get(b"x-forwarded-uri", b""),
        get(b"x-forwarded-method", b""),
        get(b"x-forwarded-for", b""),
        scope["query_string"],
        (scope["client"][0] or UNIX_PEER).encode(),
    ))  # fmt: skip
    return joined if joined.isascii() else None


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


def target_of(environ: Environ) -> Target:
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


def min_role_override(environ: Environ) -> Role | None:
    """The role that the proxy asks for by ?role=…, or None.

    An unknown role counts as the highest, so that a typing error admits no one.
    """
    query = environ.get("QUERY_STRING", "")
    if "role" not in query:
        return None
    words = [value for name, value in parse_qsl(query, keep_blank_values=True) if name == "role"]
    known = [ROLES.get(word, Role.OWNER) for word in words]
    return max(known, key=lambda role: role.rank, default=None)


def cookie_value(header: str, name: str) -> str:
    """The value of the cookie `name`, or "", as Django reads it: of several the last one counts."""
    value = ""
    if name not in header:
        return value
    if '"' in header or not header.isascii():
        text = header.encode("latin-1", "replace").decode(errors="replace")
        return str(parse_cookie(text).get(name, ""))
    for part in header.split(";"):
        found, equals, text = part.partition("=")
        if equals and found.strip() == name:
            value = text.strip()
    return value
