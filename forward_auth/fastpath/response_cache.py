"""Reuses Django's answers for requests that would get the same one.

Only answers that depend on nothing but their cache key are kept, so their bytes and headers are
Django's own. The request id is made anew for each, and so is the reference of a denial.

Django decides again, and may know more, such as that a key has been used too often. So the answer
to a denied request is kept only if it has the expected status and code.
"""

import json
import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from django.conf import settings

from accounts.middleware import REQUEST_ID
from forward_auth.cookies import cookie_value
from forward_auth.fastpath.ttl_cache import TTLCache

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Iterable[bytes]]
REFERENCE = "X-Gatehouse-Reference"
REQUEST_ID_HEADER = "X-Request-ID"
FOREVER = float("inf")
TTL_SECONDS = 1.0
MAX_ENTRIES = 256
MAX_KEY_LENGTH = 200
# With one of these headers the answer may be another one.
CONDITIONS = ("HTTP_ORIGIN", "HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH", "HTTP_IF_MODIFIED_SINCE",
              "HTTP_IF_UNMODIFIED_SINCE", "HTTP_RANGE")  # fmt: skip
_EMPTY_COOKIE = re.compile(r'[^=]+="";')


class CachedResponse(NamedTuple):
    """headers: without request id and reference. pieces: the body, split at the reference."""

    status: str
    headers: Headers
    pieces: list[bytes]


class ExpectedDenial(NamedTuple):
    """A denial that the answer must match.

    make_reference and keep are called for a cached answer only; keep gets it.
    """

    status: int
    code: str
    make_reference: Callable[[], str]
    keep: Callable[["CachedResponse"], None]

    @property
    def name(self) -> str:
        return f"{self.status} {self.code}"


class ResponseCache:
    """Cached answers of `django`, which is called for all others."""

    def __init__(self, django: Application) -> None:
        self.django = django
        self._responses: TTLCache[CachedResponse] = TTLCache(
            max_entries=MAX_ENTRIES, ttl=TTL_SECONDS
        )

    def answer(
        self,
        environ: Environ,
        start: Start,
        denial: ExpectedDenial | None = None,
        variant: str = "",
    ) -> Iterable[bytes]:
        """Answer the request, from the cache where possible.

        denial: what the answer is expected to say; None for an answer of 200. variant: whatever the
        answer depends on beside the path and the headers of the key.
        """
        key = _key(variant if denial is None else f"{denial.name} {variant}", environ)
        cached = self._responses.get(key) if key else None
        if cached is None:
            return self._ask_django(key, environ, start, denial)
        headers = [
            *cached.headers,
            (REQUEST_ID_HEADER, request_id(environ.get("HTTP_X_REQUEST_ID", ""))),
        ]
        body = cached.pieces[0]
        if denial is not None:
            reference = denial.make_reference()
            headers.append((REFERENCE, reference))
            body = reference.encode().join(cached.pieces)
            denial.keep(cached)
        start(cached.status, headers)
        return [body]

    def _ask_django(
        self,
        key: tuple[str, ...] | None,
        environ: Environ,
        start: Start,
        denial: ExpectedDenial | None,
    ) -> list[bytes]:
        started: list[Any] = []
        response = self.django(environ, lambda *arguments: started.extend(arguments))
        try:
            body = b"".join(response)
        finally:
            getattr(response, "close", int)()
        status, headers = started[:2]
        cacheable = _cacheable(status, headers, body, denial)
        if key and cacheable:
            self._responses.put(key, cacheable, FOREVER)
        start(status, headers)
        return [body]


def _key(variant: str, environ: Environ) -> tuple[str, ...] | None:
    """All that the answer depends on; None when it must not be cached."""
    if environ.get("QUERY_STRING") or environ["REQUEST_METHOD"] != "GET":
        return None
    if any(name in environ for name in CONDITIONS):
        return None
    cookies = environ.get("HTTP_COOKIE", "")
    session = cookie_value(cookies, settings.SESSION_COOKIE_NAME)
    if not session and settings.SESSION_COOKIE_NAME in cookies:
        return None  # an empty cookie, or a longer name: Django answers them differently
    key = (
        variant,
        environ["PATH_INFO"],
        environ.get("HTTP_HOST", ""),
        environ.get("HTTP_X_FORWARDED_PROTO", ""),
        environ.get("HTTP_ACCEPT_LANGUAGE", ""),
        cookie_value(cookies, settings.LANGUAGE_COOKIE_NAME),
        "session" if session else "",
    )
    return None if sum(map(len, key)) > MAX_KEY_LENGTH + len(variant) else key


def _cacheable(
    status: str, headers: Headers, body: bytes, denial: ExpectedDenial | None
) -> CachedResponse | None:
    """The answer as it may be cached.

    None when it is meant for one client, or when it is not what was expected.
    """
    by_name = dict(headers)
    if any(name == "Set-Cookie" and not _EMPTY_COOKIE.match(value) for name, value in headers):
        return None
    kept = [(name, value) for name, value in headers if name not in (REQUEST_ID_HEADER, REFERENCE)]
    reference = by_name.get(REFERENCE, "").encode()
    if denial is None:
        is_plain = status.startswith("200 ") and REFERENCE not in by_name
        return CachedResponse(status, kept, [body]) if is_plain else None
    if not reference or _name_of(status, body) != denial.name:
        return None
    return CachedResponse(status, kept, body.split(reference))


def _name_of(status: str, body: bytes) -> str:
    """Status and code of a denial as Django wrote it."""
    try:
        document = json.loads(body)
    except ValueError:
        return ""
    code = document.get("code") if isinstance(document, dict) else None
    return f"{status.partition(' ')[0]} {code}"


def request_id(given: str) -> str:
    """The id of a request that came with `given`. See accounts.middleware."""
    return given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
