"""Answers to apps that have asked the same a moment ago, in front of Django.

An app asks about the same key with each request that it is sent. The answer of Django is reused for
the same bytes (client credentials, body, Accept) until any watched table changes
(core.invalidation), something ends by itself, or five seconds have passed, whichever is first.
So a revoked key, a ban, another role or a revoked secret counts at the next question on the same
host, and within a second on every other one, as for checks of proxies. Only answers about active
credentials are kept, so nobody fills the cache with guesses. It holds digests, no credential.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

from api.kept_answers import COUNTED_KEY, HOLDS_UNTIL
from core import metrics
from core.invalidation.data_version import DataVersion, current_data_version, drop_broken, watch
from core.web.request_context import REQUEST_ID
from core.web.response_headers import encoded
from core.web.wsgi import read_short_body, whole_answer

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Iterable[bytes]]
# An ASGI message.
Message = dict[str, Any]
# From the body of a question to the answer as two messages, if it is known.
Known = Callable[[bytes], tuple[Message, Message] | None]

PATH = "/api/v1/introspect"
# An entry takes about two kilobytes. A full cache drops all its entries.
MAX_ANSWERS, MAX_BODY, MAX_ANSWER = 5_000, 32 * 1024, 8 * 1024
REQUEST_ID_HEADER = "X-Request-ID"
RAW_REQUEST_ID_HEADER = REQUEST_ID_HEADER.encode()
# With one of these headers Django answers, because the answer may have other headers.
OTHERS = ("HTTP_ORIGIN", "HTTP_COOKIE")
# Beside the body; Host and scheme because Django refuses those that it does not serve.
PARTS = (
    *("HTTP_AUTHORIZATION", "CONTENT_TYPE", "HTTP_ACCEPT", "HTTP_ACCEPT_LANGUAGE"),
    *("HTTP_HOST", "HTTP_X_FORWARDED_PROTO"),
)


class Answered(NamedTuple):
    """An answer of Django without its request id.

    until: seconds since 1970. raw_headers: the headers of an ASGI message. counted_key: the id of
    an API key against whose quota each use counts, or "".
    """

    headers: Headers
    body: bytes
    until: float
    raw_headers: list[tuple[bytes, bytes]]
    counted_key: str


class _Generation:
    """The answers of one data version; a thread with old data writes into the old generation."""

    __slots__ = ("answers", "data_version")

    def __init__(self, data_version: DataVersion) -> None:
        self.data_version = data_version
        self.answers: dict[bytes, Answered] = {}


class AnswerCache:
    """A WSGI function in front of `django`, for the one path.

    data_version: a change of its value empties the cache, and while it is None nothing is kept.
    """

    def __init__(
        self,
        django: Application,
        data_version: Callable[[], DataVersion] = current_data_version,
        watch: Callable[[], Callable[[], DataVersion] | None] = watch,
    ) -> None:
        self._django, self._data_version, self._watch = django, data_version, watch
        self._generation = _Generation(None)

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        try:
            key, generation = _key_of(environ, read_short_body(environ, MAX_BODY)), self._current()
        except Exception:  # of the database: Django will meet it again, and say so
            drop_broken()
            return self._django(environ, start)
        if key is None or generation is None:
            return self._django(environ, start)
        known = generation.answers.get(key)
        if known is not None and known.until > time.time():
            metrics.add("requests", "200")
            start("200 OK", [*known.headers, (REQUEST_ID_HEADER, request_id(environ))])
            return [known.body]
        return self._ask(environ, start, key, generation)

    def known_answers(self, environ: Environ) -> Known | None:
        """A function that answers a question whose body is still to come, in any thread.

        Call this in a thread with a connection of its own. The data version is asked again when
        the body is here. None if nothing can be known.
        """
        try:
            version = self._watch()
        except Exception:  # of the database: Django will meet it again, and say so
            return None
        return None if version is None else partial(self._known, environ, version)

    def _known(
        self, environ: Environ, data_version: Callable[[], DataVersion], body: bytes
    ) -> tuple[Message, Message] | None:
        try:
            key, version = _key_of(environ, body), data_version()
        except Exception:  # a connection that its thread has just closed: Django asks anew
            return None
        generation = self._generation
        if key is None or version is None or generation.data_version != version:
            return None
        known = generation.answers.get(key)
        if known is None or known.until <= time.time():
            return None
        metrics.add("requests", "200")
        own_id = RAW_REQUEST_ID_HEADER, request_id(environ).encode()
        headers = [*known.raw_headers, own_id]
        start = {"type": "http.response.start", "status": 200, "headers": headers}
        return start, {"type": "http.response.body", "body": known.body}

    def _current(self) -> _Generation | None:
        """Taken before anything is read: what is read later is never older than its version."""
        version, generation = self._data_version(), self._generation
        if version is None:
            return None
        if generation.data_version != version:
            generation = self._generation = _Generation(version)
        return generation

    def _ask(
        self, environ: Environ, start: Start, key: bytes, generation: _Generation
    ) -> list[bytes]:
        status, headers, body = whole_answer(self._django, environ)
        until = environ.get(HOLDS_UNTIL, 0.0)
        is_short = len(body) <= MAX_ANSWER
        if until and status.startswith("200 ") and is_short and not _sets_cookie(environ, headers):
            if len(generation.answers) >= MAX_ANSWERS:
                generation.answers.clear()
            kept = [(name, value) for name, value in headers if name != REQUEST_ID_HEADER]
            counted = environ.get(COUNTED_KEY, "")
            generation.answers[key] = Answered(kept, body, until, encoded(kept), counted)
        start(status, headers)
        return [body]


def _sets_cookie(environ: Environ, headers: Headers) -> bool:
    """Whether a browser would get a cookie that its request did not have, which nobody else may."""
    sent = environ.get("HTTP_COOKIE", "").split("; ")
    return any(
        name == "Set-Cookie" and value.partition(";")[0] not in sent for name, value in headers
    )


def _key_of(environ: Mapping[str, Any], body: bytes) -> bytes | None:
    """A digest of all that the answer depends on; None for a request that Django should answer."""
    if not body or len(body) > MAX_BODY or environ.get("QUERY_STRING"):
        return None
    if any(name in environ for name in OTHERS):
        return None
    # Each part with its length, so that no two requests have the same input.
    parts = [environ.get(name, "").encode() for name in PARTS]
    written = b"".join([b"%d:%b" % (len(part), part) for part in (*parts, body)])
    return blake2b(written, digest_size=32).digest()


def request_id(environ: Environ) -> str:
    """The id of the request; see core.web.request_context."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
