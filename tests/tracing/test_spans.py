"""What a span holds, which proxy may continue a trace, and that off nothing is loaded."""

import ipaddress
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from pytest_django.fixtures import Settings

from config.logging_config import JSONFormatter, TextFormatter
from config.tracing import requests
from config.tracing.database import Watch
from config.tracing.requests import RequestTracer, parent_of
from core import tracing
from core.http import FetchError, send
from devtools.servers.databases import InstanceData
from devtools.servers.processes import free_port
from tests.tracing.collector import Collector
from tests.tracing.recording import recording

GIVEN = f"00-{'a' * 32}-{'b' * 16}-01"
OFF = """
import sys
from django.conf import settings
from config import wsgi
from core import tracing
from forward_auth.wsgi import FastPath
result = {
    "loaded": sorted(name for name in list(sys.modules) if name.startswith("opentelemetry")),
    "own": sorted(name for name in list(sys.modules) if name.startswith("config.tracing")),
    "check": wsgi.cached_response.__func__ is FastPath.cached_response,
    "request": wsgi.application.__func__ is FastPath.__call__,
    "question": wsgi.known_answers.__func__ is FastPath.known_answers,
    "middleware": [name for name in settings.MIDDLEWARE if "tracing" in name],
    "is_on": tracing.is_on,
}
"""


ON = """
from django.conf import settings
import MODULE as module
from core import tracing
result = [
    module.application.__qualname__,
    module.cached_response.__qualname__,
    [name for name in settings.MIDDLEWARE if "tracing" in name],
    tracing.is_on,
]
"""


def test_off_loads_nothing_and_wraps_no_request(sqlite_data: InstanceData) -> None:
    """So a check makes the same calls as without any of this."""
    off = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}

    for environment in ({}, off):
        assert sqlite_data.shell(OFF, **environment) == {
            "loaded": [],
            "own": ["config.tracing", "config.tracing.conf"],
            "check": True,
            "request": True,
            "question": True,
            "middleware": [],
            "is_on": False,
        }


@pytest.mark.parametrize("module", ["config.wsgi", "config.forward_auth_wsgi"])
def test_both_servers_trace_their_requests(sqlite_data: InstanceData, module: str) -> None:
    """The second one is of `serve --checks-only`."""
    code = ON.replace("MODULE", module)
    found = sqlite_data.shell(code, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}")

    assert found == [
        "RequestTracer.application.<locals>.answer",
        "RequestTracer.cached_response.<locals>.answer",
        ["config.tracing.requests.RouteMiddleware"],
        True,
    ]


def test_off_a_span_is_always_the_same_object() -> None:
    with tracing.span("x", {"a": 1}, is_root=True) as span:
        span.note({"b": 2})
        span.fail("c")
        tracing.note({"d": 3})

    assert span is tracing.NO_SPAN
    assert tracing.trace_id() == ""


def test_a_failed_span_names_the_class_of_the_error_and_not_its_text() -> None:
    with recording() as found, pytest.raises(ValueError), tracing.span("x", is_root=True):
        raise ValueError("anna@example.com typed a secret")

    assert found.spans == [("x", "INTERNAL", {"error.type": "ValueError"}, True)]
    assert "anna" not in found.text()


def test_background_work_has_no_spans_but_those_that_begin_a_trace() -> None:
    with recording() as found:
        with tracing.span("alone"):
            pass
        with tracing.span("first", is_root=True):
            tracing.note({"noted": True})
            with tracing.span("inner", is_client=True):
                tracing.note({"later": 1})

    assert found.spans == [
        ("inner", "CLIENT", {}, False),
        ("first", "INTERNAL", {"noted": True, "later": 1}, False),
    ]


@pytest.mark.parametrize(
    ("networks", "hops", "peer", "given", "is_continued"),
    [
        ((), 0, "127.0.0.1", GIVEN, False),
        (("10.0.0.0/8",), 0, "10.1.2.3", GIVEN, True),
        (("10.0.0.0/8",), 0, "203.0.113.9", GIVEN, False),
        (("10.0.0.0/8",), 1, "203.0.113.9", GIVEN, False),
        (("10.0.0.0/8",), 0, "", GIVEN, False),
        ((), 1, "203.0.113.9", GIVEN, True),
        ((), 1, "203.0.113.9", "", False),
        ((), 1, "203.0.113.9", f"{GIVEN}, {GIVEN}", False),
        ((), 1, "203.0.113.9", f"00-{'0' * 32}-{'b' * 16}-01", False),
        ((), 1, "203.0.113.9", f"ff-{'a' * 32}-{'b' * 16}-01", False),
        ((), 1, "203.0.113.9", "a" * 20_000, False),
    ],
)
def test_a_trace_is_continued_for_trusted_proxies_alone(
    settings: Settings, networks: Any, hops: int, peer: str, given: str, is_continued: bool
) -> None:
    settings.TRUSTED_PROXIES = tuple(map(ipaddress.ip_network, networks))
    settings.TRUST_PROXY = hops

    parent = trace.get_current_span(parent_of(peer, given)).get_span_context()

    assert parent.is_valid is is_continued
    assert not is_continued or f"{parent.trace_id:032x}" == "a" * 32


@pytest.mark.parametrize(("lines", "is_continued"), [([GIVEN], True), ([GIVEN, GIVEN], False)])
def test_a_check_from_memory_reads_traceparent_as_it_came(
    settings: Settings, lines: list[str], is_continued: bool
) -> None:
    settings.TRUSTED_PROXIES = (ipaddress.ip_network("127.0.0.1"),)
    scope = {
        "method": "GET", "scheme": "http", "raw_path": b"/auth/check", "client": ("", 0),
        "headers": [(b"traceparent", line.encode()) for line in lines],
    }  # fmt: skip
    answer = ({"status": 204, "headers": [(b"Remote-Id", b"the-id")]}, {"body": b""})
    with recording() as found:
        ask = RequestTracer(found.tracer).cached_response(lambda _scope: (answer, None))

        assert ask(scope) == (answer, None)

    assert found.names == ["GET /auth/check"]
    assert ("a" * 32 in found.text()) is is_continued


def test_questions_and_checks_that_are_not_answered_from_memory_have_no_span_here() -> None:
    with recording() as found:
        tracer = RequestTracer(found.tracer)
        assert tracer.cached_response(lambda _scope: (None, "kept"))({}) == (None, "kept")
        assert tracer.known_answers(lambda _scope, _environ: None)({}, {}) is None

    assert found.spans == []


def test_a_question_of_an_app_that_is_answered_from_memory() -> None:
    answers = {b"known": ({"status": 200}, {"body": b"{}"})}
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/x", "wsgi.url_scheme": "https"}
    with recording() as found:
        known = RequestTracer(found.tracer).known_answers(lambda _scope, _environ: answers.get)
        ask = known({}, environ)

        assert ask is not None
        assert [ask(b"other"), ask(b"known")] == [None, answers[b"known"]]

    assert [(name, of["http.response.status_code"]) for name, _kind, of, _ in found.spans] == [
        ("POST /x", 200)
    ]


def test_an_error_of_the_server_ends_its_span_without_its_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The connection of this thread is that of other tests, too.
    monkeypatch.setattr(requests, "watch_connection", lambda _tracer: None)

    def broken(_environ: Any, _start: Any) -> Any:
        raise RuntimeError("anna@example.com")

    environ = {"REQUEST_METHOD": "BREW", "PATH_INFO": "/x", "wsgi.url_scheme": "http"}
    with recording() as found, pytest.raises(RuntimeError):
        RequestTracer(found.tracer).application(broken)(environ, print)

    assert found.spans == [
        (
            "_OTHER",
            "SERVER",
            {
                "http.request.method": "_OTHER",
                "url.scheme": "http",
                "error.type": "RuntimeError",
            },
            True,
        )
    ]
    assert "anna" not in found.text()


def test_requests_to_other_servers_tell_them_nothing_of_the_trace() -> None:
    collector = Collector()
    sent = {"http.request.method": "POST", "server.address": "127.0.0.1"}
    try:
        with recording() as found, tracing.span("first", is_root=True):
            send("POST", f"{collector.url}/token?code=abc", data=b"x", timeout=3)
            collector.answer = lambda handler: handler.send_error(503)
            send("POST", f"{collector.url}/token?code=abc", data=b"x", timeout=3)
            with pytest.raises(FetchError):
                send("POST", f"http://127.0.0.1:{free_port()}/", data=b"x", timeout=3)
    finally:
        collector.stop()

    assert found.spans[:3] == [
        ("POST", "CLIENT", {**sent, "http.response.status_code": 200}, False),
        (
            "POST",
            "CLIENT",
            {**sent, "http.response.status_code": 503, "error.type": "503"},
            True,
        ),
        ("POST", "CLIENT", {**sent, "error.type": "FetchError"}, True),
    ]
    assert "code=abc" not in found.text()
    assert [name for post in collector.posts for name in post.headers if "trace" in name] == []


class Connection:
    """What Watch uses of a connection of Django."""

    vendor = "postgresql"

    def __init__(self) -> None:
        self.execute_wrappers: list[Callable[..., Any]] = []
        self.calls: list[Any] = []

    def set_autocommit(self, autocommit: bool, **_more: bool) -> None:
        self.run("BEGIN")
        self.calls.append(autocommit)

    def commit(self) -> None:
        self.calls.append("commit")

    def run(self, sql: str) -> None:
        for wrapper in self.execute_wrappers:
            wrapper(lambda *_of_statement: None, sql, (), False, {})


def test_a_transaction_that_is_rolled_back() -> None:
    connection: Any = Connection()
    with recording() as found, tracing.span("first", is_root=True):
        Watch(connection, found.tracer.otel)
        connection.run("SELECT 'outside'")
        connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
        connection.run("SELECT 'anna@example.com'")
        connection.run("SELECT 2")
        connection.set_autocommit(True)

    of_database = {"db.system.name": "postgresql", "gatehouse.db.outcome": "rollback"}
    assert found.spans[0] == (
        "transaction",
        "CLIENT",
        {**of_database, "gatehouse.db.statements": 2},
        False,
    )
    assert connection.calls == [False, True]
    assert "SELECT" not in found.text()


def test_a_transaction_that_opens_its_connection_first() -> None:
    """Django sets the mode of a new connection by the same method, inside of the first call."""
    connection: Any = Connection()
    begin = connection.set_autocommit

    def connect_and_begin(autocommit: bool) -> None:
        if not autocommit:
            connection.set_autocommit(True)
        begin(autocommit)

    connection.set_autocommit = connect_and_begin
    with recording() as found, tracing.span("first", is_root=True):
        Watch(connection, found.tracer.otel)
        connection.set_autocommit(False)
        connection.run("SELECT 1")
        connection.commit()
        connection.set_autocommit(True)

    assert [(name, of.get("gatehouse.db.outcome")) for name, _kind, of, _ in found.spans] == [
        ("transaction", "commit"),
        ("first", None),
    ]
    assert connection.calls == [True, False, "commit", True]


def test_what_runs_after_a_commit_has_a_transaction_of_its_own() -> None:
    """Django calls it inside of the call that ends the first one."""
    connection: Any = Connection()
    change = connection.set_autocommit
    waiting = ["UPDATE 1"]

    def change_and_call(autocommit: bool) -> None:
        change(autocommit)
        if autocommit and waiting:
            statement = waiting.pop()
            connection.set_autocommit(False)
            connection.run(statement)
            connection.set_autocommit(True)

    connection.set_autocommit = change_and_call
    with recording() as found, tracing.span("first", is_root=True):
        Watch(connection, found.tracer.otel)
        connection.set_autocommit(False)
        connection.commit()
        connection.set_autocommit(True)

    told = [
        (of["gatehouse.db.outcome"], of["gatehouse.db.statements"])
        for name, _kind, of, _failed in found.spans
        if name == "transaction"
    ]
    assert told == [("commit", 0), ("rollback", 1)]


def test_transactions_of_background_work_have_no_span() -> None:
    connection: Any = Connection()
    with recording() as found:
        Watch(connection, found.tracer.otel)
        connection.set_autocommit(False)
        connection.run("SELECT 1")
        connection.set_autocommit(True)

    assert found.spans == []


def test_log_lines_inside_a_trace_name_it() -> None:
    record = logging.LogRecord("gatehouse", logging.INFO, "", 1, "said", (), None)
    with recording(), tracing.span("first", is_root=True):
        inside = JSONFormatter().format(record), TextFormatter("%(message)s").format(record)
        trace_id = tracing.trace_id()
    outside = JSONFormatter().format(record), TextFormatter("%(message)s").format(record)

    assert len(trace_id) == 32
    assert json.loads(inside[0])["trace_id"] == trace_id
    assert inside[1] == f"said trace_id={trace_id}"
    assert "trace_id" not in outside[0] + outside[1]
