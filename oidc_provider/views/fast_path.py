"""The busiest requests of apps and browsers, answered in front of Django's middleware.

A WSGI function for two exact requests: an app exchanges a code or a refresh token, and a signed-in
browser asks for a code that nobody has to be asked about. Both are decided by the functions of the
views (token_at_once(), code_at_once()); what those leave to the views, and every request with
anything unusual, goes to Django, and then nothing has happened yet. See
docs/decisions/0047-sign-ins-in-front-of-django.md.

The headers that Django's middleware adds are learned from its own answer to a request with the same
deciding headers, and reused for LEARNED_SECONDS.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import unquote

from django.conf import settings
from django.core.handlers.exception import response_for_exception
from django.core.handlers.wsgi import WSGIRequest
from django.db import close_old_connections, connection
from django.http import HttpResponse, parse_cookie
from django.utils import translation

from core.web.client_ip import FORWARDING_HEADERS, OWN_NETWORKS, is_in, parse_address, resolve
from core.web.request_context import RequestContext, context_of, use_context
from core.web.request_log import log_request
from core.web.wsgi import read_short_body, whole_answer
from oidc_provider.views.authorize import code_at_once
from oidc_provider.views.machine import CORS_HEADERS, NOT_STORED, Answer
from oidc_provider.views.tokens import token_at_once

logger = logging.getLogger(__name__)
Environ = dict[str, Any]
Headers = list[tuple[str, str]]
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Iterable[bytes]]
Key = tuple[tuple[Any, ...], tuple[str, ...]]

TOKEN, AUTHORIZE = "/openid/token", "/openid/authorize"
FORM = "application/x-www-form-urlencoded"
LEARNED_SECONDS, MAX_LEARNED = 30.0, 512
TURN_SECONDS = 0.5
# What is longer or has more parts goes to Django, which refuses some of it.
MAX_BODY, MAX_QUERY, MAX_FIELDS, MAX_COOKIES = 8_192, 2_600, 50, 8_192
MAX_KEY = 400
# Headers with which answers may have other headers, or another form.
UNUSUAL = (
    *("HTTP_ORIGIN", "HTTP_ACCESS_CONTROL_REQUEST_METHOD", "HTTP_RANGE", "HTTP_EXPECT"),
    *("HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_TRANSFER_ENCODING"),
)
# Of one answer only.
OWN_HEADERS = frozenset({"Content-Length", "Location", "X-Request-ID"})
# With another list, somebody has added middleware that wants to see every request.
MIDDLEWARE = (
    "accounts.middleware.RequestContextMiddleware",
    "config.middleware.RequestLogMiddleware",
    "config.middleware.SecurityHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "api.middleware.ApiMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "core.branding.middleware.BrandingMiddleware",
    "moderation.middleware.ProxyNoteMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "core.web.csrf.CsrfMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.SessionTimeoutMiddleware",
    "accounts.middleware.ResumptionMiddleware",
    "accounts.middleware.TimeZoneMiddleware",
    "accounts.middleware.PendingFormMiddleware",
    "forward_auth.middleware.ForwardAuthCookieMiddleware",
    "accounts.middleware.AnonymousModeMiddleware",
    "accounts.middleware.ErrorPageMiddleware",
    "accounts.middleware.SingleValueMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
)


class KnownHeaders(NamedTuple):
    """headers: what Django's middleware adds. until: of time.monotonic()."""

    headers: Headers
    language: str
    until: float


class FastEndpoints:
    """Answers what it can; `django` answers everything else."""

    def __init__(self, django: Application) -> None:
        self._django = django
        self._learned: dict[Key, KnownHeaders] = {}
        self._session, self._language = settings.SESSION_COOKIE_NAME, settings.LANGUAGE_COOKIE_NAME
        self._writing = Lock()
        handlers = {("POST", TOKEN): self._token, ("GET", AUTHORIZE): self._authorize}
        self._handlers = handlers if tuple(settings.MIDDLEWARE) == MIDDLEWARE else {}

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        handle = self._handlers.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if handle is None:
            return self._django(environ, start)
        cookies = environ.get("HTTP_COOKIE", "")
        has_language = self._language in cookies
        language = parse_cookie(cookies).get(self._language, "") if has_language else ""
        key = _key_of(environ, language)
        if key is None:
            return self._django(environ, start)
        learned = self._learned.get(key)
        if learned is None or learned.until <= time.monotonic():
            return self._learn(key, environ, start)
        begun = time.perf_counter()
        if connection.vendor != "sqlite":
            close_old_connections()  # a broken one is replaced, as Django does for a request
        translation.activate(learned.language)
        context = context_of(_client_ip(environ), environ)
        with use_context(context), self._turn():
            response = handle(environ, context, learned)
        if response is None:
            return self._django(environ, start)
        status, headers, body = response
        with use_context(context):
            log_request(
                environ["REQUEST_METHOD"],
                environ["PATH_INFO"][1:],
                status,
                time.perf_counter() - begun,
            )
        headers.append(("X-Request-ID", context.request_id))
        start(_STATUS[status], headers)
        return [body]

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """SQLite lets one write at a time, and who waits for it there sleeps for milliseconds.

        Whoever has waited here for long goes on without a turn: another process may be writing.
        """
        if connection.vendor != "sqlite" or not self._writing.acquire(timeout=TURN_SECONDS):
            yield
            return
        try:
            yield
        finally:
            self._writing.release()

    def _token(
        self, environ: Environ, _context: RequestContext, learned: KnownHeaders
    ) -> tuple[int, Headers, bytes] | None:
        if environ.get("CONTENT_TYPE") != FORM or "HTTP_COOKIE" in environ:
            return None
        if environ.get("QUERY_STRING"):
            return None
        form = _fields(_read(environ))
        if form is None:
            return None
        try:
            answer = token_at_once(environ.get("HTTP_AUTHORIZATION"), form)
        except Exception as error:  # answered as Django answers it
            return _failed(environ, error, learned)
        if answer is None:
            return None
        return _json(answer, learned)

    def _authorize(
        self, environ: Environ, context: RequestContext, learned: KnownHeaders
    ) -> tuple[int, Headers, bytes] | None:
        query, cookies = environ.get("QUERY_STRING", ""), environ.get("HTTP_COOKIE", "")
        # With a domain, browsers may have to be given a second cookie.
        if len(query) > MAX_QUERY or len(cookies) > MAX_COOKIES or settings.FORWARD_AUTH_DOMAIN:
            return None
        given = _fields(query)
        session = parse_cookie(cookies).get(self._session, "")
        if given is None or not session:
            return None
        try:
            url = code_at_once(given, session, context.ip)
        except Exception as error:
            return _failed(environ, error, learned)
        if url is None:
            return None
        headers = [("Location", url), ("Content-Length", "0"), *learned.headers]
        return 303, headers, b""

    def _learn(self, key: Key, environ: Environ, start: Start) -> list[bytes]:
        """Let Django answer, and keep what its middleware has added to a usual answer."""
        status, headers, body = whole_answer(self._django, environ)
        found = dict(headers)
        if _is_usual(environ["PATH_INFO"], status, found) and len(found) == len(headers):
            if len(self._learned) >= MAX_LEARNED:
                self._learned.clear()
            kept = [(name, value) for name, value in headers if name not in OWN_HEADERS]
            until = time.monotonic() + LEARNED_SECONDS
            self._learned[key] = KnownHeaders(kept, found.get("Content-Language", ""), until)
        start(status, headers)
        return [body]


_STATUS = {each.value: f"{each.value} {each.phrase}" for each in HTTPStatus}
# What an answer of the token endpoint has beside the headers of all answers.
_OF_TOKENS = {"Content-Type", *NOT_STORED, *CORS_HEADERS}


def _key_of(environ: Environ, language: str) -> Key | None:
    """All that the headers of an answer depend on; None for an unusual request.

    language: of the cookie.
    """
    if not environ.keys().isdisjoint(UNUSUAL):
        return None
    get = environ.get
    # A request of each kind still reaches the notes about proxies; see moderation.proxies.
    kind = (
        _is_own(get("REMOTE_ADDR", "")),
        *[name in environ for name in FORWARDING_HEADERS],
        environ["wsgi.url_scheme"],
    )
    texts = (
        environ["PATH_INFO"], language, get("HTTP_HOST", "\0"),
        get("HTTP_X_FORWARDED_PROTO", "\0"), get("HTTP_ACCEPT_LANGUAGE", "\0"),
    )  # fmt: skip
    return None if sum(map(len, texts)) > MAX_KEY else (kind, texts)


def _is_own(peer: str) -> bool:
    known = _OWN.get(peer)
    if known is None:
        address = parse_address(peer)
        known = address is None or is_in(address, OWN_NETWORKS)
        if len(_OWN) >= MAX_LEARNED:
            _OWN.clear()
        _OWN[peer] = known
    return known


_OWN: dict[str, bool] = {}


def _is_usual(path: str, status: str, headers: Mapping[str, str]) -> bool:
    """Whether other answers of the path have the same headers."""
    if "Set-Cookie" in headers:
        return False
    if path == AUTHORIZE:
        return status.startswith("303 ") and "://" in headers.get("Location", "")
    return status.startswith("200 ") and headers.get("Content-Type") == "application/json"


def _client_ip(environ: Environ) -> str:
    """See core.web.client_ip.client_ip()."""
    return resolve(
        environ.get("REMOTE_ADDR", ""),
        environ.get("HTTP_X_FORWARDED_FOR", ""),
        settings.TRUSTED_PROXIES,
        settings.TRUST_PROXY,
    )


def _read(environ: Environ) -> str:
    """The body, which Django can read again; "" for one that is too long or not ASCII."""
    body = read_short_body(environ, MAX_BODY)
    return body.decode() if body.isascii() else ""


def _fields(text: str) -> dict[str, str] | None:
    """Fields that are there once; None for what Django has to read. Reads as parse_qsl() does."""
    if not text or not text.isascii():
        return None
    pairs = [part.partition("=") for part in text.replace("+", " ").split("&") if part]
    fields = {
        unquote(name) if "%" in name else name: unquote(value) if "%" in value else value
        for name, _equals, value in pairs
    }
    is_plain = len(fields) == len(pairs) <= MAX_FIELDS
    return fields if is_plain and "%00" not in text and "\0" not in text else None


def _json(answer: Answer, learned: KnownHeaders) -> tuple[int, Headers, bytes]:
    body = json.dumps(answer.members).encode()
    headers = [*learned.headers, *answer.headers, ("Content-Length", str(len(body)))]
    return answer.status, headers, body


def _failed(
    environ: Environ, error: Exception, learned: KnownHeaders
) -> tuple[int, Headers, bytes]:
    """What Django says of an unexpected error, which it logs."""
    response: HttpResponse = response_for_exception(WSGIRequest(environ), error)
    own = dict(response.items())
    middle = [(name, value) for name, value in learned.headers if name not in _OF_TOKENS | {*own}]
    body = response.content
    return response.status_code, [*own.items(), *middle, ("Content-Length", str(len(body)))], body
