"""A request by the names that really came, as the WSGI environment that Django and checks read.

WSGI gives `X_Forwarded_Uri` and `X-Forwarded-Uri` one key, so code that reads only that cannot tell
a client's line from the proxy's. Here names are compared as they were sent: one with an underscore
is dropped, and a header that decides may come only once. Pure.
"""

import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from forward_auth.request import DROPPED_NAMES, PROBE_KEY, UNIX_PEER

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
# The key of a peer that came by a Unix socket. No header gets a key in lower case.
BY_UNIX_SOCKET = "gatehouse.by_unix_socket"
VERSIONS = {"1": "HTTP/1.0", "1.1": "HTTP/1.1", "2": "HTTP/2"}
# Headers that may come only once: some software would read the first of two lines, some the last
# (RFC 9110, 5.3: only lists may have several lines).
# X-Forwarded-For is a list, but a second line is one that a proxy did not replace.
SINGLE_VALUED = frozenset({
    "HTTP_HOST", "HTTP_AUTHORIZATION", "HTTP_X_API_KEY", "HTTP_FORWARDED", "HTTP_X_REAL_IP",
    "HTTP_X_REQUEST_ID", "HTTP_ORIGIN", "HTTP_REFERER", "HTTP_UPGRADE", "HTTP_X_CSRFTOKEN",
    "HTTP_X_CSRF_TOKEN", "HTTP_X_HTTP_METHOD_OVERRIDE", "CONTENT_TYPE", "CONTENT_LENGTH",
})  # fmt: skip
SINGLE_VALUED_PREFIXES = (
    "HTTP_X_FORWARDED_", "HTTP_X_ORIGINAL_", "HTTP_SEC_", "HTTP_REMOTE_", "HTTP_X_REMOTE_",
    "HTTP_X_AUTH_", "HTTP_X_WEBAUTH_",
)  # fmt: skip
WITHOUT_PREFIX = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}
# A limit, because clients can invent names.
MAX_NAMES = 512
DROPPED = ""
SERVER: Environ = {
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "granian",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
}
_keys: dict[bytes, str] = {}


class Unreadable(Exception):
    """The request says something twice that may be said once. name: of the header."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def environ_of(scope: Mapping[str, Any]) -> Environ:
    """The environment of an ASGI scope, which holds names and values as they came (ASGI 3.0).

    Raises Unreadable. Without `wsgi.input`: the body has not been read.
    """
    server, client, raw_path = scope["server"], scope["client"], scope["raw_path"]
    path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
    environ = {
        **SERVER,
        "SERVER_PROTOCOL": VERSIONS.get(scope["http_version"], "HTTP/1.1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": server[1],
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": client[1],
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": path.decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "wsgi.url_scheme": scope["scheme"],
    }
    if not client[0]:
        environ["REMOTE_ADDR"], environ[BY_UNIX_SOCKET] = UNIX_PEER, True
        environ["SERVER_NAME"], environ["SERVER_PORT"] = "localhost", "80"
    dropped: list[bytes] = []
    for name, value in scope["headers"]:
        key = _keys.get(name)
        if key is None:
            key = _key(name)
        if not key:
            dropped.append(name)
            continue
        if key in environ:
            environ[key] = _joined(key, environ[key], value.decode("latin-1"))
        else:
            environ[key] = value.decode("latin-1")
    # The live test of an app asks which names arrived; no other request keeps a trace of them.
    if dropped and PROBE_KEY in environ:
        environ[DROPPED_NAMES] = [name.decode("latin-1") for name in dropped]
    return environ


def has_body(environ: Environ) -> bool:
    """Does the request announce one (RFC 9112, 6; HTTP/2 needs to announce nothing)?"""
    length = environ.get("CONTENT_LENGTH")
    if length is None:
        is_stream = environ["SERVER_PROTOCOL"] == "HTTP/2"
        is_reading = environ["REQUEST_METHOD"] in ("GET", "HEAD", "OPTIONS")
        return "HTTP_TRANSFER_ENCODING" in environ or (is_stream and not is_reading)
    return bool(length != "0")


def _key(name: bytes) -> str:
    """The key of a header; DROPPED for one that is dropped."""
    text = name.decode("latin-1")
    key = WITHOUT_PREFIX.get(name) or f"HTTP_{text.upper().replace('-', '_')}"
    if "_" in text:
        key = DROPPED
    if len(_keys) < MAX_NAMES:
        _keys[name] = key
    return key


def _joined(key: str, first: str, second: str) -> str:
    """Two lines as one, where that is what they mean (RFC 9110, 5.3; RFC 9113, 8.2.3)."""
    if key in SINGLE_VALUED or key.startswith(SINGLE_VALUED_PREFIXES):
        raise Unreadable(key.removeprefix("HTTP_").replace("_", "-").title())
    return f"{first}; {second}" if key == "HTTP_COOKIE" else f"{first}, {second}"
