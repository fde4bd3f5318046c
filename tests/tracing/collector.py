"""A collector that takes OTLP/HTTP, and keeps each byte that it got."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

SECONDS = 20
# Stands for a number of statements above zero, which changes with the code.
SOME = -1


class Span(NamedTuple):
    """One span as it arrived. attributes: values as they were sent, none left out."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    is_failed: bool


class Post(NamedTuple):
    """One request to the collector."""

    path: str
    headers: dict[str, str]
    body: bytes


class Collector:
    """answer: what it does with a request, instead of taking it."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.answer: Callable[[BaseHTTPRequestHandler], None] = accept
        self._arrived = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with collector._arrived:
                    collector.posts.append(Post(self.path, headers, body))
                    collector._arrived.notify_all()
                collector.answer(self)

            def log_message(self, *_of_line: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def spans(self) -> Iterator[Span]:
        """All spans so far, in the order in which they ended."""
        for post in list(self.posts):
            request = ExportTraceServiceRequest.FromString(post.body)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    yield from map(_read, scope.spans)

    def wait_for(self, fits: Callable[[Span], bool]) -> Span:
        """The first span that fits; waits until it is here."""
        with self._arrived:
            found: list[Span] = []
            has_arrived = self._arrived.wait_for(
                lambda: bool(found.extend(filter(fits, self.spans())) or found), SECONDS
            )
            assert has_arrived, list(self.spans())
            return found[0]

    def trace(self, trace: str) -> list[Span]:
        """The spans of a request; its first one ends last."""
        self.wait_for(lambda span: (span.trace, span.kind) == (trace, "SERVER"))
        return [span for span in self.spans() if span.trace == trace]

    def resource(self) -> dict[str, Any]:
        """The attributes of the instance."""
        (found,) = ExportTraceServiceRequest.FromString(self.posts[0].body).resource_spans
        return _attributes(found.resource)


def accept(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def tree(spans: list[Span]) -> Any:
    """(name, attributes, [children, the first ended first]) of the first span."""
    (first,) = [span for span in spans if span.kind == "SERVER"]

    def below(parent: Span) -> list[Any]:
        return [
            (span.name, span.attributes, below(span)) for span in spans if span.parent == parent.id
        ]

    return first.name, first.attributes, below(first)


def names(spans: list[Span]) -> Any:
    """tree() without attributes."""

    def of(node: Any) -> Any:
        return (node[0], [of(child) for child in node[2]]) if node[2] else node[0]

    return of(tree(spans))


def _read(span: WireSpan) -> Span:
    return Span(
        span.name,
        WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        _attributes(span),
        span.status.code == Status.STATUS_CODE_ERROR,
    )


def _attributes(owner: Any) -> dict[str, Any]:
    found = {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in owner.attributes
    }
    if found.get("gatehouse.db.statements"):
        found["gatehouse.db.statements"] = SOME
    return found
