"""Step 6 of a check: the answer. The WSGI function in front of Django.

It answers a few exact paths, lets applications.answer_cache answer questions of apps, and passes
the rest to Django. A failure here becomes 503 with
Retry-After and never 204 (it fails closed). A broken database connection is replaced once, so that
no thread loses a check to a failover.

Django makes the bodies of denials, of the key set and of the liveness probe. Those that depend on
nothing but a few headers are reused for a second; request id and reference are made anew for each.
Django decides about a denial again, and may know more, such as that a key has been used too often.
So its answer is reused only if it has the expected status and code.
"""

import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from django.conf import settings

from applications import answer_cache, own_answers
from core import metrics
from core.invalidation.data_version import drop, drop_broken
from core.web.request_context import REQUEST_ID
from core.web.response_headers import bare_headers, encoded
from core.web.wsgi import whole_answer
from forward_auth.authentication import FastPathUnsupported
from forward_auth.cache import CheckResult, EncodedDenial, Message, TTLCache
from forward_auth.checker import Checker, HeaderTooLong
from forward_auth.decisions import from_wsgi, is_browser
from forward_auth.metrics import FAST, count_failed, count_passed, count_too_long
from forward_auth.request import MAX_HEADER_LENGTH, Scope, cookie_value
from forward_auth.services.denials import note_denial
from forward_auth.services.tokens import token_headers, wants_token

logger = logging.getLogger(__name__)
Environ = dict[str, Any]
Headers = list[tuple[str, str]]
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Iterable[bytes]]
Handler = Callable[[Environ, Start], Iterable[bytes]]

CHECK, FORWARD = "/auth/check", "/auth/forward"
CHECK_PATHS = frozenset({CHECK, FORWARD})
KEY_SET, LIVE = "/.well-known/jwks.json", "/health/live"
SAFE_METHODS = frozenset({"GET", "HEAD"})
# The environment's key for a cached result. No header gets a key in lower case.
CACHED_RESULT = "gatehouse.cached_result"
NOTHING_CACHED = None, None
NO_BODY: Message = {"type": "http.response.body", "body": b""}
REFERENCE, REQUEST_ID_HEADER = "X-Gatehouse-Reference", "X-Request-ID"
_RAW_REQUEST_ID, _RAW_REFERENCE = REQUEST_ID_HEADER.encode(), REFERENCE.encode()
NO_STORE, RETRY = ("Cache-Control", "no-store"), ("Retry-After", "1")
EMPTY = ("Content-Length", "0")
NO_CONTENT, UNAVAILABLE = "204 No Content", "503 Service Unavailable"
# RFC 6585, section 5.
TOO_LONG = "431 Request Header Fields Too Large"
TOO_LONG_BODY = (
    b'{"type": "about:blank", "title": "Request header fields too large", "status": 431,'
    b' "code": "headers_too_long", "detail": "A line of the header has more than 16384 bytes.'
    b' Cookies of many apps on one domain are the usual cause: delete some."}\n'
)
# Limits of the cache of responses.
MAX_RESPONSES, RESPONSE_SECONDS, MAX_KEY_LENGTH = 256, 1.0, 200
# With one of these headers the answer may be another one.
CONDITIONS = ("HTTP_ORIGIN", "HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH", "HTTP_IF_MODIFIED_SINCE",
              "HTTP_IF_UNMODIFIED_SINCE", "HTTP_RANGE")  # fmt: skip
# What an answer to a denied check depends on beside the cache key of its result.
CLIENT_KEYS = ("HTTP_USER_AGENT", "HTTP_SEC_FETCH_MODE", "HTTP_ACCEPT_LANGUAGE", *CONDITIONS)
CLIENT_HEADERS = tuple(
    name.removeprefix("HTTP_").replace("_", "-").lower().encode() for name in CLIENT_KEYS
)
_EMPTY_COOKIE = re.compile(r'[^=]+="";')


class CachedResponse(NamedTuple):
    """headers: without request id and reference. pieces: the body, split at the reference.

    until: when Django has to answer again, in seconds since 1970.
    """

    status: str
    headers: Headers
    pieces: list[bytes]
    until: float


class FastPath:
    """Answers checks, the key set and the liveness probe; `django` answers everything else."""

    def __init__(self, django: Application, checker: Checker) -> None:
        self.django, self.checker = django, checker
        self.questions = answer_cache.AnswerCache(django)
        self.own_answers = own_answers.OwnAnswers(django)
        self.responses: TTLCache[CachedResponse] = TTLCache(MAX_RESPONSES, RESPONSE_SECONDS)
        self._handlers: dict[str, Handler] = {
            CHECK: self._check,
            FORWARD: self._check,
            KEY_SET: self._key_set,
            LIVE: self._public,
        }
        # Undecoded. Any other spelling of a path takes the usual way through __call__().
        self._raw_check = f"{settings.PUBLIC_PATH}{CHECK}".encode()
        self._raw_question = f"{settings.PUBLIC_PATH}{answer_cache.PATH}".encode()
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
            result.message = _no_content(result)
        return (result.message, NO_BODY), result

    def known_answers(self, scope: Scope, environ: Environ) -> answer_cache.Known | None:
        """A function from the body of a question to a known answer; None for other requests."""
        if scope["raw_path"] != self._raw_question or scope["method"] != "POST":
            return None
        return None if _has_long_headers(environ) else self.questions.known_answers(environ)

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
        name = _request_id(headers.get(b"x-request-id", b"").decode("latin-1"))
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
            if environ["PATH_INFO"] == own_answers.PATH and environ["REQUEST_METHOD"] == "GET":
                return self.own_answers(environ, start)
            is_question = environ["PATH_INFO"] == answer_cache.PATH
            if is_question and environ["REQUEST_METHOD"] == "POST":
                return self.questions(environ, start)
            return self.django(environ, start)
        return handler(environ, start)

    def _check(self, environ: Environ, start: Start, *, is_retry: bool = False) -> Iterable[bytes]:
        try:
            result = environ.pop(CACHED_RESULT, None) or self.checker.check(environ)
            if result.decision.status == 204:
                return self._pass(result, environ, start)
        except FastPathUnsupported:
            return self._ask_django(environ, start)
        except HeaderTooLong:
            return _too_long(start)
        except Exception:
            if not is_retry and drop_broken():
                return self._check(environ, start, is_retry=True)
            logger.exception("a check failed")
            return _unavailable(start)
        if environ["PATH_INFO"] == FORWARD:  # denials are pages and redirects there
            return self._ask_django(environ, start)
        return self._deny(result, environ, start)

    def _pass(self, result: CheckResult, environ: Environ, start: Start) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING", "")
        is_wanted = query and wants_token(query)
        more = token_headers(result, query, self.checker.tokens) if is_wanted else []
        count_passed()
        start(NO_CONTENT, [NO_STORE, *result.headers, *more])
        return []

    def _deny(self, result: CheckResult, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer as Django did a moment ago, with a reference of this denial."""
        expected = f"{result.decision.status} {result.decision.code}"
        _set_public_host(environ)
        # Browsers and other programs get different challenges.
        client = "browser" if is_browser(environ) else "program"
        key = _response_key(f"{expected} {client}", environ)
        cached = self.responses.get(key) if key else None
        if cached is None:
            return self._ask_django_for(key, expected, environ, start)
        metrics.add("checks", str(result.decision.status), FAST)
        reference = note_denial(result)
        result.denial = _encoded_denial(cached, environ)
        start(cached.status, [*cached.headers, _request_id_of(environ), (REFERENCE, reference)])
        return [reference.encode().join(cached.pieces)]

    def _public(self, environ: Environ, start: Start, variant: str = "") -> Iterable[bytes]:
        key = _response_key(variant, environ)
        cached = self.responses.get(key) if key else None
        if cached is None:
            return self._ask_django_for(key, "200", environ, start)
        start(cached.status, [*cached.headers, _request_id_of(environ)])
        return cached.pieces[:]

    def _key_set(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Cached within one data version: apps keep a key for minutes that is revoked here."""
        try:
            version = self.checker.use_current_signing_keys()
        except Exception:
            drop_broken()
            return self._ask_django(environ, start)
        return self._public(environ, start, f"keys {version}")

    def _ask_django_for(
        self, key: tuple[str, ...] | None, expected: str, environ: Environ, start: Start
    ) -> list[bytes]:
        """Let Django answer, and keep the answer under `key` if it is the expected one."""
        status, headers, body = whole_answer(self._ask_django, environ)
        cacheable = _cacheable(status, headers, body, expected) if key else None
        if cacheable is not None:
            self.responses.put(key, cacheable, cacheable.until)
        start(status, headers)
        return [body]

    def _ask_django(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Let Django answer; its 500 becomes 503, so that a proxy tries again."""
        _set_public_host(environ)

        def start_response(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            # The server writes text as UTF-8, where WSGI expects latin-1.
            headers = [(name, from_wsgi(value)) for name, value in headers]
            if status.startswith("500 "):
                return start(UNAVAILABLE, [*headers, RETRY], *more)
            return start(status, headers, *more)

        return self.django(environ, start_response)


def _no_content(result: CheckResult) -> Message:
    """The start of the answer of _pass() as an ASGI message."""
    headers = encoded((NO_STORE, *result.headers))
    return {"type": "http.response.start", "status": 204, "headers": headers}


def _encoded_denial(response: CachedResponse, environ: Environ) -> EncodedDenial:
    values = [environ.get(key) for key in CLIENT_KEYS]
    client = tuple(None if value is None else value.encode("latin-1") for value in values)
    return EncodedDenial(response.until, client, encoded(response.headers), response.pieces)


def _response_key(variant: str, environ: Environ) -> tuple[str, ...] | None:
    """All that the answer depends on; None when it must not be cached.

    variant: whatever it depends on beside the path and headers.
    """
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


def _cacheable(status: str, headers: Headers, body: bytes, expected: str) -> CachedResponse | None:
    """The answer as it may be cached.

    expected: "200", or status and code of a denial. None when the answer is another one, or is
    meant for one client.
    """
    if any(name == "Set-Cookie" and not _EMPTY_COOKIE.match(value) for name, value in headers):
        return None
    kept = [(name, value) for name, value in headers if name not in (REQUEST_ID_HEADER, REFERENCE)]
    reference = dict(headers).get(REFERENCE, "").encode()
    number = status.partition(" ")[0]
    until = time.time() + RESPONSE_SECONDS
    if not reference:
        is_expected = number == expected == "200"
        return CachedResponse(status, kept, [body], until) if is_expected else None
    if f"{number} {_code_of(body)}" != expected:
        return None
    return CachedResponse(status, kept, body.split(reference), until)


def _code_of(body: bytes) -> str:
    """The code of a denial as Django wrote it."""
    try:
        document = json.loads(body)
    except ValueError:
        return ""
    return str(document.get("code")) if isinstance(document, dict) else ""


def _request_id_of(environ: Environ) -> tuple[str, str]:
    return REQUEST_ID_HEADER, _request_id(environ.get("HTTP_X_REQUEST_ID", ""))


def _request_id(given: str) -> str:
    """The id of a request that came with `given`. See core.web.request_context."""
    return given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _set_public_host(environ: Environ) -> None:
    """Proxies send the app's host, or none that is ours; the target is in other headers."""
    if environ["PATH_INFO"] in CHECK_PATHS:
        environ["HTTP_HOST"] = settings.PUBLIC_HOST


def _has_long_headers(environ: Environ) -> bool:
    for name, value in environ.items():
        if type(value) is str and len(value) > MAX_HEADER_LENGTH and name.startswith("HTTP_"):
            return True
    return False


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
