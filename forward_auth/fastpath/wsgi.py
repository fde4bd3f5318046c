"""The WSGI function in front of Django. It answers a few exact paths and passes the rest to Django.

A failure here becomes 503 with Retry-After and never 204 (it fails closed). A broken database
connection is replaced once, so that no thread loses a check to a failover.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings

from accounts.bareheaders import bare_headers
from core import metrics
from forward_auth.decisions import from_wsgi, is_browser
from forward_auth.fastpath.authentication import FastPathUnsupported
from forward_auth.fastpath.checker import Checker, HeaderTooLong
from forward_auth.fastpath.db_connection import drop, drop_broken
from forward_auth.fastpath.generation import CheckResult, EncodedDenial, Message
from forward_auth.fastpath.request import MAX_HEADER_LENGTH, Scope
from forward_auth.fastpath.response_cache import (
    CONDITIONS,
    REFERENCE,
    REQUEST_ID_HEADER,
    TTL_SECONDS,
    Application,
    CachedResponse,
    Environ,
    ExpectedDenial,
    ResponseCache,
    Start,
    request_id,
)
from forward_auth.metrics import FAST, count_failed, count_passed, count_too_long
from forward_auth.services.denials import note_denial
from forward_auth.services.tokens import token_headers, wants_token

logger = logging.getLogger(__name__)
Handler = Callable[[Environ, Start], Iterable[bytes]]

CHECK, FORWARD = "/auth/check", "/auth/forward"
CHECK_PATHS = frozenset({CHECK, FORWARD})
KEY_SET, LIVE = "/.well-known/jwks.json", "/health/live"
SAFE_METHODS = frozenset({"GET", "HEAD"})
NO_STORE = ("Cache-Control", "no-store")
# The environment's key for a cached result. No header gets a key in lower case.
CACHED_RESULT = "gatehouse.cached_result"
NOTHING_CACHED = None, None
NO_BODY: Message = {"type": "http.response.body", "body": b""}
# What an answer to a denied check depends on beside the cache key of its result.
CLIENT_KEYS = ("HTTP_USER_AGENT", "HTTP_SEC_FETCH_MODE", "HTTP_ACCEPT_LANGUAGE", *CONDITIONS)
CLIENT_HEADERS = tuple(
    name.removeprefix("HTTP_").replace("_", "-").lower().encode() for name in CLIENT_KEYS
)
RETRY = ("Retry-After", "1")
EMPTY = ("Content-Length", "0")
NO_CONTENT, UNAVAILABLE = "204 No Content", "503 Service Unavailable"
_RAW_REQUEST_ID, _RAW_REFERENCE = REQUEST_ID_HEADER.encode(), REFERENCE.encode()
# RFC 6585, section 5.
TOO_LONG = "431 Request Header Fields Too Large"
TOO_LONG_BODY = (
    b'{"type": "about:blank", "title": "Request header fields too large", "status": 431,'
    b' "code": "headers_too_long", "detail": "A line of the header has more than 16384 bytes.'
    b' Cookies of many apps on one domain are the usual cause: delete some."}\n'
)


class FastPath:
    """Answers checks, the key set and the liveness probe; `django` answers everything else."""

    def __init__(self, django: Application, checker: Checker) -> None:
        self.django, self.checker = django, checker
        self.responses = ResponseCache(self._by_django)
        self._handlers: dict[str, Handler] = {
            CHECK: self._check,
            FORWARD: self._forward,
            KEY_SET: self._key_set,
            LIVE: self._public,
        }
        # Undecoded. Any other spelling of a path takes the usual way through __call__().
        self._raw_check = f"{settings.PUBLIC_PATH}{CHECK}".encode()
        self._raw_paths = frozenset(
            f"{settings.PUBLIC_PATH}{path}".encode() for path in CHECK_PATHS
        )

    def cached_response(
        self, scope: Scope
    ) -> tuple[tuple[Message, Message] | None, CheckResult | None]:
        """(answer, result) for a request whose check is cached, from its ASGI scope.

        The answer is two ASGI messages. Without one the request goes through __call__(), which
        takes the result from environ[CACHED_RESULT].
        """
        if scope["raw_path"] not in self._raw_paths or scope["method"] not in SAFE_METHODS:
            return NOTHING_CACHED
        try:
            result = self.checker.cached_result(scope)
        except Exception:  # __call__() will meet it again, and log it
            return NOTHING_CACHED
        if result is None or b"token" in scope["query_string"]:
            return None, result
        if result.decision.status != 204:
            return self._cached_denial(scope, result), result
        count_passed()
        if result.message is None:
            result.message = _message(204, (NO_STORE, *result.headers))
        return (result.message, NO_BODY), result

    def _cached_denial(self, scope: Scope, result: CheckResult) -> tuple[Message, Message] | None:
        """The answer that _deny() gave a moment ago to a request that differs in nothing."""
        denial = result.denial
        if denial is None or denial.until <= time.time() or scope["raw_path"] != self._raw_check:
            return None
        if scope["method"] != "GET" or scope["query_string"]:
            return None
        headers = dict(scope["headers"])
        if tuple(map(headers.get, CLIENT_HEADERS)) != denial.client:
            return None
        reference = note_denial(result).encode()
        if not reference:
            return None
        metrics.add("checks", str(result.decision.status), FAST)
        name = request_id(headers.get(b"x-request-id", b"").decode("latin-1"))
        start = {
            "type": "http.response.start",
            "status": result.decision.status,
            "headers": [
                *denial.headers,
                (_RAW_REQUEST_ID, name.encode()),
                (_RAW_REFERENCE, reference),
            ],
        }
        return start, {"type": "http.response.body", "body": reference.join(denial.pieces)}

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        handler = self._handlers.get(environ["PATH_INFO"])
        if handler is None or environ["REQUEST_METHOD"] not in SAFE_METHODS:
            if _has_long_headers(environ):
                return _too_long(start)
            return self.django(environ, start)
        return handler(environ, start)

    def _check(self, environ: Environ, start: Start, *, is_retry: bool = False) -> Iterable[bytes]:
        try:
            result = environ.pop(CACHED_RESULT, None) or self.checker.check(environ)
            if result.decision.status == 204:
                return self._pass(result, environ, start)
        except FastPathUnsupported:
            return self._by_django(environ, start)
        except HeaderTooLong:
            return _too_long(start)
        except Exception:
            if not is_retry and drop_broken():
                return self._check(environ, start, is_retry=True)
            logger.exception("a check failed")
            return _unavailable(start)
        return self._deny(result, environ, start)

    def _forward(
        self, environ: Environ, start: Start, *, is_retry: bool = False
    ) -> Iterable[bytes]:
        """Denials are pages and redirects here, which Django makes."""
        try:
            result = environ.pop(CACHED_RESULT, None) or self.checker.check(environ)
            if result.decision.status == 204:
                return self._pass(result, environ, start)
        except FastPathUnsupported:
            pass
        except HeaderTooLong:
            return _too_long(start)
        except Exception:
            if not is_retry and drop_broken():
                return self._forward(environ, start, is_retry=True)
            logger.exception("a check failed")
            return _unavailable(start)
        return self._by_django(environ, start)

    def _pass(self, result: CheckResult, environ: Environ, start: Start) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING", "")
        is_wanted = query and wants_token(query)
        more = token_headers(result, query, self.checker.tokens) if is_wanted else []
        count_passed()
        start(NO_CONTENT, [NO_STORE, *result.headers, *more])
        return []

    def _deny(self, result: CheckResult, environ: Environ, start: Start) -> Iterable[bytes]:
        status, code = result.decision.status, result.decision.code
        _set_public_host(environ)

        def make_reference() -> str:
            metrics.add("checks", str(status), FAST)
            return note_denial(result)

        def keep(response: CachedResponse) -> None:
            result.denial = _encoded(response, environ)

        # Browsers and other programs get different challenges.
        client = "browser" if is_browser(environ) else "program"
        denial = ExpectedDenial(status, code, make_reference, keep)
        return self.responses.answer(environ, start, denial, client)

    def _public(self, environ: Environ, start: Start) -> Iterable[bytes]:
        return self.responses.answer(environ, start)

    def _key_set(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Cached within one data version: apps keep a key for minutes that is revoked here."""
        try:
            version = self.checker.use_current_signing_keys()
        except Exception:
            drop_broken()
            return self._by_django(environ, start)
        return self.responses.answer(environ, start, variant=f"keys {version}")

    def _by_django(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Let Django answer; its 500 becomes 503, so that a proxy tries again."""
        _set_public_host(environ)

        def start_response(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            # The server writes text as UTF-8, where WSGI expects latin-1.
            headers = [(name, from_wsgi(value)) for name, value in headers]
            if status.startswith("500 "):
                return start(UNAVAILABLE, [*headers, RETRY], *more)
            return start(status, headers, *more)

        return self.django(environ, start_response)


def _message(status: int, headers: Iterable[tuple[str, str]]) -> Message:
    """The start of an answer as an ASGI message."""
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    return {"type": "http.response.start", "status": status, "headers": encoded}


def _encoded(response: CachedResponse, environ: Environ) -> EncodedDenial:
    values = [environ.get(key) for key in CLIENT_KEYS]
    client = tuple(None if value is None else value.encode("latin-1") for value in values)
    headers = [(name.encode(), value.encode()) for name, value in response.headers]
    return EncodedDenial(time.time() + TTL_SECONDS, client, headers, response.pieces)


def _set_public_host(environ: Environ) -> None:
    """Proxies send the app's host, or none that is ours; the target is in other headers."""
    if environ["PATH_INFO"] in CHECK_PATHS:
        environ["HTTP_HOST"] = settings.PUBLIC_HOST


def _has_long_headers(environ: Environ) -> bool:
    return any(
        name.startswith("HTTP_") and len(value) > MAX_HEADER_LENGTH
        for name, value in environ.items()
    )


def _too_long(start: Start) -> Iterable[bytes]:
    count_too_long()
    length = ("Content-Length", str(len(TOO_LONG_BODY)))
    content_type = ("Content-Type", "application/problem+json")
    start(TOO_LONG, [NO_STORE, content_type, length, *bare_headers()])
    return [TOO_LONG_BODY]


def _unavailable(start: Start) -> Iterable[bytes]:
    """The next request begins with a new connection."""
    count_failed()
    drop()
    start(UNAVAILABLE, [NO_STORE, RETRY, EMPTY, *bare_headers()])
    return []
