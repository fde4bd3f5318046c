"""The span of each request, around the fast path and Django.

A span holds no query, no header, no address of the client and no path that contains a token: of a
route with variables it has the pattern.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from accounts.models import User
from config.server.dispatch import Application, CachedResponse, Elsewhere, Known, KnownAnswers
from config.tracing import provider
from config.tracing.conf import TracingSettings
from config.tracing.database import STATEMENTS, watch_connection
from config.tracing.spans import RunningSpan, SdkTracer, first_span, use_first
from core.web.client_ip import is_in, parse_address
from forward_auth.request import UNIX_PEER
from forward_auth.sql import SOURCE
from forward_auth.wsgi import CHECK_PATHS, KEY_SET

Environ = dict[str, Any]
# Asked every few seconds, or files: their spans would say nothing.
UNTRACED = ("/health/", "/metrics", "/static/", "/branding/", "/robots.txt")
# Answered without Django, which knows the routes.
FIXED_ROUTES = CHECK_PATHS | {KEY_SET}
# RFC 9110 and RFC 5789; OpenTelemetry's conventions: all others are _OTHER.
METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)
# The environment's key for the span of a request that another thread continues.
KEPT = "gatehouse.span"
METHOD, ROUTE, PATH = "http.request.method", "http.route", "url.path"
STATUS, SCHEME, USER = "http.response.status_code", "url.scheme", "enduser.id"
REQUEST_ID = "gatehouse.request_id"
IN_MEMORY, BY_DJANGO = "memory", "django"
SERVER_ERROR = 500
_propagator = TraceContextTextMapPropagator()


class RouteMiddleware:
    """Tells the span of a request its route and user; installed only where tracing is on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        first = first_span.get()
        if first is not None:
            match = request.resolver_match
            if match is not None:
                _name(first, request.method or "", f"/{match.route}", request.path_info)
            user = _known_user(request)
            if user is not None:
                first.note({USER: str(user.pk)})
            first.note({
                REQUEST_ID: response.headers.get("X-Request-ID", ""),
                STATEMENTS: first.statements,
            })  # fmt: skip
        return response


def _known_user(request: HttpRequest) -> User | None:
    """Who is signed in, if the request has found that out anyhow; asks no database."""
    user: Any = request.__dict__.get("user")
    # Django's own is lazy: a proxy that has not looked yet has no wrapped object.
    user = user.__dict__.get("_wrapped") if hasattr(type(user), "_setup") else user
    return user if isinstance(user, User) else None


def _name(first: RunningSpan, method: str, route: str, path: str) -> None:
    """Name the span as the conventions ask: method and route."""
    first.otel.update_name(f"{_method(method)} {route}")
    has_variables = any(sign in route for sign in "<(")
    first.note({ROUTE: route, PATH: route if has_variables else path})


def _method(method: str) -> str:
    return method if method in METHODS else "_OTHER"


def parent_of(peer: str, traceparent: str) -> Context:
    """The context of a `traceparent` from a trusted proxy; an empty one for any other.

    As for X-Forwarded-For: TRUSTED_PROXIES by the peer's address, or any peer with TRUST_PROXY.
    Otherwise strangers could fill the traces of others, and have all their own exported.
    `tracestate` is not read, because it is free text (W3C Trace Context, section 3.3).
    """
    if not traceparent or not _is_trusted(peer):
        return Context()
    return _propagator.extract({"traceparent": traceparent}, Context())


def _is_trusted(peer: str) -> bool:
    networks = settings.TRUSTED_PROXIES
    address = parse_address(peer)
    return (
        address is not None and is_in(address, networks) if networks else settings.TRUST_PROXY > 0
    )


class RequestTracer:
    """Wraps what config.server.dispatch calls."""

    def __init__(self, tracer: SdkTracer) -> None:
        self._tracer = tracer.otel

    def application(self, application: Application) -> Application:
        """The same WSGI application with a span around each request."""

        def answer(environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
            running: RunningSpan | None = environ.pop(KEPT, None)
            is_continued = running is not None
            if running is None:
                path = environ["PATH_INFO"].removeprefix(settings.PUBLIC_PATH)
                if path.startswith(UNTRACED):
                    return application(environ, start)
                running = self._begin(environ)
                if path in CHECK_PATHS:
                    running.note({SOURCE: IN_MEMORY})
            heard = _Heard(start)
            watch_connection(self._tracer)
            try:
                with use_first(running):
                    response = application(environ, heard.start)
            except Elsewhere:
                environ[KEPT] = running
                raise
            except BaseException as error:
                running.fail(type(error).__qualname__)
                running.otel.end()
                raise
            _end(running, environ, heard, is_continued=is_continued)
            return response

        return answer

    def cached_response(self, cached_response: CachedResponse) -> CachedResponse:
        """The same function with a span for each check that it answers from memory."""

        def answer(scope: Mapping[str, Any]) -> Any:
            began = time.time_ns()
            found = cached_response(scope)
            if found[0] is not None:
                self._note_check(scope, found[0][0], began)
            return found

        return answer

    def known_answers(self, known_answers: KnownAnswers) -> KnownAnswers:
        """The same function with a span for each question of an app that it answers."""

        def find(scope: Mapping[str, Any], environ: Environ) -> Known | None:
            known = known_answers(scope, environ)
            if known is None:
                return None

            def answer(body: bytes) -> Any:
                began = time.time_ns()
                found = known(body)
                if found is not None:
                    path = environ["PATH_INFO"].removeprefix(settings.PUBLIC_PATH)
                    running = self._begin(environ, began)
                    _name(running, environ["REQUEST_METHOD"], path, path)
                    running.note({STATUS: found[0]["status"]})
                    running.otel.end()
                return found

            return answer

        return find

    def _begin(self, environ: Environ, began: int | None = None) -> RunningSpan:
        parent = parent_of(environ.get("REMOTE_ADDR", ""), environ.get("HTTP_TRACEPARENT", ""))
        return self._start(parent, environ["REQUEST_METHOD"], environ["wsgi.url_scheme"], began)

    def _start(self, parent: Context, method: str, scheme: str, began: int | None) -> RunningSpan:
        return RunningSpan(
            self._tracer.start_span(
                _method(method),
                context=parent,
                kind=SpanKind.SERVER,
                attributes={METHOD: _method(method), SCHEME: scheme},
                start_time=began,
            )
        )

    def _note_check(self, scope: Mapping[str, Any], start: dict[str, Any], began: int) -> None:
        given = [value for name, value in scope["headers"] if name == b"traceparent"]
        # Two of them are none (W3C Trace Context, section 3.2).
        traceparent = given[0].decode("latin-1") if len(given) == 1 else ""
        parent = parent_of(scope["client"][0] or UNIX_PEER, traceparent)
        running = self._start(parent, scope["method"], scope["scheme"], began)
        path = scope["raw_path"].decode("latin-1").removeprefix(settings.PUBLIC_PATH)
        _name(running, scope["method"], path, path)
        user = next((value for name, value in start["headers"] if name == b"Remote-Id"), b"")
        if user:
            running.note({USER: user.decode("latin-1")})
        running.note({STATUS: start["status"], SOURCE: IN_MEMORY})
        running.otel.end()


def start(config: TracingSettings) -> RequestTracer:
    """Trace this process, and wrap its requests; see provider.start()."""
    return RequestTracer(provider.start(config))


class _Heard:
    """Passes the start of a response on, and keeps what the span needs."""

    def __init__(self, start: Callable[..., Any]) -> None:
        self._start = start
        self.status, self.user = 0, ""

    def start(self, status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        self.status = int(status[:3])
        self.user = next((value for name, value in headers if name == "Remote-Id"), "")
        return self._start(status, headers, *more)


def _end(running: RunningSpan, environ: Environ, heard: _Heard, *, is_continued: bool) -> None:
    path = environ["PATH_INFO"].removeprefix(settings.PUBLIC_PATH)
    running.note({STATUS: heard.status})
    if path in FIXED_ROUTES:
        _name(running, environ["REQUEST_METHOD"], path, path)
    if path in CHECK_PATHS:
        if heard.user:
            running.note({USER: heard.user})
        if is_continued:
            running.note({SOURCE: BY_DJANGO})
    if heard.status >= SERVER_ERROR:
        running.fail(str(heard.status))
    running.otel.end()
