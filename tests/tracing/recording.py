"""Spans of this process, kept in memory instead of exported."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from config.tracing.spans import SdkTracer
from core import tracing


class Recording:
    """tracer: the one in use."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = SdkTracer(provider)

    @property
    def spans(self) -> list[tuple[str, str, dict[str, object], bool]]:
        """(name, kind, attributes, has failed) in the order in which they ended."""
        return [
            (span.name, span.kind.name, dict(span.attributes or {}), not span.status.is_ok)
            for span in self._exporter.get_finished_spans()
        ]

    @property
    def names(self) -> list[str]:
        return [span[0] for span in self.spans]

    def text(self) -> str:
        """All that an export would hold."""
        return "".join(span.to_json() for span in self._exporter.get_finished_spans())


@contextmanager
def recording() -> Iterator[Recording]:
    """Trace this process inside the block."""
    found = Recording()
    tracing.use(found.tracer)
    try:
        yield found
    finally:
        tracing.use(None)
