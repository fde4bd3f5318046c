"""Answers to programs that have read their own account a moment ago, in front of Django.

Programs and pages read `/api/v1/me` to learn whether their credential still works, and as whom. As
for questions of apps (applications.answer_cache), the answer of Django is reused for a request that
differs in nothing on which it depends, until any watched table changes, something ends by itself or
has to be written, or five seconds have passed. Each use of a key counts against its quota. A
browser gets the CSRF token of its own cookie, which has the same mask for these seconds.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import blake2b
from time import time

from api.apikeys import quota
from applications.answer_cache import REQUEST_ID_HEADER, AnswerCache, Environ, Start, request_id
from core import metrics
from core.errors import RateLimited
from core.invalidation.data_version import drop_broken

PATH = "/api/v1/me"
# A request with one of these is answered by Django: it has more in it, or wants another answer.
OTHERS = (
    *("HTTP_ORIGIN", "HTTP_RANGE", "HTTP_TRANSFER_ENCODING", "HTTP_IF_MATCH"),
    *("HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE"),
)
# Host and scheme, because Django refuses those that it does not serve; the address of the client,
# because a key may be limited to networks.
PARTS = (
    *("HTTP_AUTHORIZATION", "HTTP_X_API_KEY", "HTTP_COOKIE", "HTTP_ACCEPT", "HTTP_ACCEPT_LANGUAGE"),
    *("CONTENT_TYPE", "HTTP_HOST", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_FOR", "REMOTE_ADDR"),
)
CREDENTIALS = frozenset({"HTTP_AUTHORIZATION", "HTTP_X_API_KEY", "HTTP_COOKIE"})
MAX_KEY_LENGTH = 8 * 1024


class OwnAnswers(AnswerCache):
    """A WSGI function in front of `django`, for GET of the one path."""

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        key = _key_of(environ)
        if key is None:
            return self._django(environ, start)
        try:
            generation = self._current()
        except Exception:  # of the database: Django will meet it again, and say so
            drop_broken()
            return self._django(environ, start)
        if generation is None:
            return self._django(environ, start)
        known = generation.answers.get(key)
        if known is None or known.until <= time():
            return self._ask(environ, start, key, generation)
        if known.counted_key:
            try:
                quota.consume(known.counted_key, datetime.now(UTC))
            except RateLimited:  # Django says until when
                return self._django(environ, start)
        metrics.add("requests", "200")
        start("200 OK", [*known.headers, (REQUEST_ID_HEADER, request_id(environ))])
        return [known.body]


def _key_of(environ: Environ) -> bytes | None:
    """A digest of all that the answer depends on; None for a request that Django should answer."""
    if environ.get("QUERY_STRING") or environ.get("CONTENT_LENGTH", "0") not in ("", "0"):
        return None
    if any(name in environ for name in OTHERS):
        return None
    # Two credentials have two ends, and two keys two quotas.
    if len(CREDENTIALS & environ.keys()) != 1:
        return None
    # Each part with its length, so that no two requests have the same input; an empty header is
    # another request than one without it.
    values = [environ.get(name) for name in PARTS]
    parts = [b"-" if value is None else b"%d:%b" % (len(value), value.encode()) for value in values]
    written = b"".join(parts)
    if len(written) > MAX_KEY_LENGTH:
        return None
    return blake2b(written, digest_size=32).digest()
