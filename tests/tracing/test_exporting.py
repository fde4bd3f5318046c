"""Whatever the collector does, spans are sent once or dropped, and no request notices."""

import logging
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from config.tracing import exporter, spans
from config.tracing.conf import TracingSettings
from config.tracing.exporter import Exporter
from config.tracing.provider import make_provider, make_sampler
from config.tracing.requests import parent_of
from config.tracing.spans import SdkTracer
from core import tracing
from devtools.servers.processes import free_port
from tests.tracing.collector import Collector, accept

FAILURE, SUCCESS = SpanExportResult.FAILURE, SpanExportResult.SUCCESS
SECRET = "collector-secret-0123"


def _span() -> ReadableSpan:
    span = TracerProvider().get_tracer("tests").start_span("x")
    span.end()
    assert isinstance(span, ReadableSpan)
    return span


def _exporter(url: str) -> Exporter:
    return Exporter(f"{url}/v1/traces", {"Authorization": SECRET})


def _settings(url: str) -> TracingSettings:
    return TracingSettings(f"{url}/v1/traces", "gate", "always_on", 1.0, {}, {})


def refuse(handler: BaseHTTPRequestHandler) -> None:
    handler.send_error(500)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


def send_without_end(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    with suppress(OSError):
        while True:
            handler.wfile.write(b"x" * 65536)


def redirect(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(307)
    handler.send_header("Location", "/elsewhere")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def talk_nonsense(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\xff" * 100)


@pytest.mark.parametrize("answer", [refuse, hang_up, send_without_end, redirect, talk_nonsense])
def test_a_collector_that_fails_costs_one_try_and_one_warning(
    collector: Collector, answer: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gatehouse.tracing")
    sending = _exporter(collector.url)
    collector.answer = answer  # type: ignore[assignment]

    failed = [sending.export([_span()]) for _time in range(3)]
    collector.answer = accept
    went = sending.export([_span()])

    assert (failed, went) == ([FAILURE] * 3, SUCCESS)
    assert [post.path for post in collector.posts] == ["/v1/traces"] * 4
    assert [record.getMessage() for record in caplog.records] == [
        "traces could not be exported; further failures are not logged",
        "traces are exported again",
    ]
    assert caplog.records[0].reason  # type: ignore[attr-defined]
    assert SECRET not in caplog.text + str(caplog.records[0].__dict__)


def test_a_collector_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    assert _exporter(f"http://127.0.0.1:{free_port()}").export([_span()]) is FAILURE
    assert "Connection refused" in caplog.records[0].reason  # type: ignore[attr-defined]


def test_a_collector_that_hangs_holds_no_request_and_little_memory(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "50")
    monkeypatch.setattr(exporter, "TIMEOUT_SECONDS", 20.0)
    goes_on = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        goes_on.wait(20)
        accept(handler)

    collector.answer = hang
    provider = make_provider(_settings(collector.url))
    tracer = provider.get_tracer("tests")
    for number in range(1000):
        tracer.start_span(f"span {number}").end()
    waiting = [post.path for post in collector.posts]
    goes_on.set()
    provider.force_flush()
    provider.shutdown()

    assert len(waiting) <= 1
    arrived = [span.name for span in collector.spans()]
    assert 100 <= len(arrived) <= 150
    assert arrived[-1] == "span 999"


def test_sizes_of_the_queue_that_contradict_each_other_stop_no_server(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")  # less than a batch

    provider = make_provider(_settings(collector.url))
    provider.get_tracer("tests").start_span("x").end()
    provider.shutdown()

    assert [span.name for span in collector.spans()] == ["x"]
    assert caplog.messages == ["the sizes in OTEL_BSP_* are not used"]


def test_a_process_ends_although_the_collector_hangs(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "STOP_SECONDS", 0.05)
    goes_on = threading.Event()
    collector.answer = lambda _handler: goes_on.wait(20) and None
    provider = make_provider(_settings(collector.url))
    tracing.use(SdkTracer(provider))
    with tracing.span("last", is_root=True):
        pass

    tracing.stop()

    assert not goes_on.is_set()
    assert tracing.span("another", is_root=True) is tracing.NO_SPAN
    goes_on.set()


def test_the_last_spans_are_exported_at_the_end(collector: Collector) -> None:
    tracing.use(SdkTracer(make_provider(_settings(collector.url))))
    with tracing.span("last", is_root=True):
        pass

    tracing.stop()

    assert [span.name for span in collector.spans()] == ["last"]


@pytest.mark.parametrize(
    ("sampler", "ratio", "flags", "expected"),
    [
        ("always_on", 0.0, "", True),
        ("always_on", 0.0, "00", True),
        ("always_off", 1.0, "01", False),
        ("traceidratio", 0.0, "01", False),
        ("traceidratio", 1.0, "00", True),
        ("parentbased_always_on", 0.0, "", True),
        ("parentbased_always_on", 0.0, "00", False),
        ("parentbased_always_off", 1.0, "", False),
        ("parentbased_always_off", 1.0, "01", True),
        ("parentbased_traceidratio", 0.0, "", False),
        ("parentbased_traceidratio", 0.0, "01", True),
        ("parentbased_traceidratio", 1.0, "00", False),
    ],
)
def test_each_sampler(
    settings: object, sampler: str, ratio: float, flags: str, expected: bool
) -> None:
    settings.TRUST_PROXY = 1  # type: ignore[attr-defined]
    given = f"00-{'a' * 32}-{'b' * 16}-{flags}" if flags else ""
    provider = TracerProvider(sampler=make_sampler(sampler, ratio))

    span = provider.get_tracer("tests").start_span("x", context=parent_of("10.0.0.1", given))

    assert span.is_recording() is expected
