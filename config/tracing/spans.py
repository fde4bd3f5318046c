"""core.tracing by OpenTelemetry's SDK: spans, and which one is the first of a running trace."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode

from core import tracing
from core.version import VERSION

# How long the end of a process waits for a collector that is slow.
STOP_SECONDS = 3.0
ERROR_TYPE = "error.type"


class RunningSpan:
    """A span of the SDK as core.tracing.Span. statements: how many were sent inside it."""

    __slots__ = ("otel", "statements")

    def __init__(self, otel: trace.Span) -> None:
        self.otel, self.statements = otel, 0

    def note(self, attributes: tracing.Attributes) -> None:
        """Add attributes."""
        self.otel.set_attributes(attributes)

    def fail(self, kind: str) -> None:
        """Mark it as failed, without a text: errors quote what people have typed."""
        self.otel.set_attribute(ERROR_TYPE, kind)
        self.otel.set_status(Status(StatusCode.ERROR))


# The first span of the trace that runs in this thread.
first_span: ContextVar[RunningSpan | None] = ContextVar("gatehouse_first_span", default=None)


class SdkTracer:
    """See core.tracing.Tracer."""

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self.otel = provider.get_tracer("gatehouse", VERSION)

    @contextmanager
    def span(
        self, name: str, attributes: tracing.Attributes, *, is_client: bool, is_root: bool
    ) -> Iterator[tracing.Span]:
        """Begin a span below the running one; see core.tracing.span()."""
        is_first = first_span.get() is None
        if is_first and not is_root:
            yield tracing.NO_SPAN
            return
        kind = SpanKind.CLIENT if is_client else SpanKind.INTERNAL
        running = RunningSpan(self.otel.start_span(name, kind=kind, attributes=attributes))
        with use_first(running) if is_first else use_inner(running):
            try:
                yield running
            except BaseException as error:
                running.fail(type(error).__qualname__)
                raise
            finally:
                running.otel.end()

    def note(self, attributes: tracing.Attributes) -> None:
        """Add attributes to the first span."""
        first = first_span.get()
        if first is not None:
            first.note(attributes)

    def trace_id(self) -> str:
        """The id of the running trace, if it is exported."""
        context = trace.get_current_span().get_span_context()
        return f"{context.trace_id:032x}" if context.trace_flags.sampled else ""

    def stop(self) -> None:
        """Export what is left, for STOP_SECONDS at most."""
        stopping = threading.Thread(target=self.provider.shutdown, daemon=True)
        stopping.start()
        stopping.join(STOP_SECONDS)


@contextmanager
def use_inner(running: RunningSpan) -> Iterator[None]:
    """Make it the parent of spans that begin inside the block."""
    with trace.use_span(running.otel, record_exception=False, set_status_on_exception=False):
        yield


@contextmanager
def use_first(running: RunningSpan) -> Iterator[None]:
    """Make it the first span of the trace inside the block."""
    token = first_span.set(running)
    try:
        with use_inner(running):
            yield
    finally:
        first_span.reset(token)
