"""The lines of a request that the verdict of a check is made of. Pure.

They are told in two ways that must say the same: of a WSGI environment, and joined, straight from
the request as it came, which is all that a check takes that was answered a moment ago.
"""

from collections.abc import Mapping
from typing import Any

Environ = Mapping[str, Any]
Scope = Mapping[str, Any]
# Those with a credential, then the others.
Lines = tuple[str, ...]
OFFERS = 3
BETWEEN = "\n"
# Of one line. Addresses may have 8 kB, and browsers keep that many cookies.
LONGEST_LINE = 16_384
# Who connects by a Unix socket is a proxy of this machine: files decide who may.
UNIX_PEER = "127.0.0.1"


def lines_of(environ: Environ) -> Lines:
    """The lines, "" for those that are not said; of some, an empty one is something else than none.

    Written out, because a loop over the names takes half as long again.
    """
    key, bearer = environ.get("HTTP_X_API_KEY"), environ.get("HTTP_AUTHORIZATION")
    original = environ.get("HTTP_X_ORIGINAL_URL")
    return (
        "" if key is None else f"={key}",
        "" if bearer is None else f"={bearer}",
        environ.get("HTTP_COOKIE", ""),
        # An empty one is as unreadable as this.
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


def joined_lines(scope: Scope) -> bytes | None:
    """The lines of an ASGI scope, joined and encoded as those of its environment would be.

    None: they cannot be told in short, because a header came twice or says more than ASCII. A name
    with an underscore is no name of a line, so that it says nothing here either.
    """
    headers = scope["headers"]
    said = dict(headers)
    if len(said) != len(headers):
        return None
    get = said.get
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
