"""The parts of a proxy's request that a decision depends on. Pure.

The cache key comes in two forms, which must be equal: from a WSGI environment, and straight from
the ASGI scope of the request, which is all that a cached check reads.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from accounts.roles import Role

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
ROLES = {role.value: role for role in Role}


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
