"""Spans of traces, where config.tracing has turned tracing on. Only that knows OpenTelemetry.

Off, each of these functions costs one comparison. Attributes never hold a secret, an address of a
client or a user, a path, a query or SQL: a trace leaves this machine.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol, Self

Attributes = Mapping[str, str | int | bool]


class Span(Protocol):
    """A span that is running."""

    def note(self, attributes: Attributes) -> None:
        """Add attributes."""

    def fail(self, kind: str) -> None:
        """Mark it as failed; kind: a status or the class of an error, never its text."""


class Tracer(Protocol):
    """What config.tracing gives to use()."""

    def span(
        self, name: str, attributes: Attributes, *, is_client: bool, is_root: bool
    ) -> AbstractContextManager[Span]:
        """See span()."""

    def note(self, attributes: Attributes) -> None:
        """See note()."""

    def trace_id(self) -> str:
        """See trace_id()."""

    def stop(self) -> None:
        """See stop()."""


class NoSpan:
    """A span where nothing is traced."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_of_error: object) -> None:
        pass

    def note(self, attributes: Attributes) -> None:
        """Do nothing."""

    def fail(self, kind: str) -> None:
        """Do nothing."""


NO_SPAN = NoSpan()
NO_ATTRIBUTES: Attributes = {}
# For code that must not even call a function while tracing is off.
is_on = False
_tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """Trace this process by `tracer` from now on; None turns tracing off."""
    global _tracer, is_on
    _tracer, is_on = tracer, tracer is not None


def span(
    name: str,
    attributes: Attributes = NO_ATTRIBUTES,
    *,
    is_client: bool = False,
    is_root: bool = False,
) -> AbstractContextManager[Span]:
    """A span of the trace that is running in this thread; an exception marks it as failed.

    is_client: it waits for another server. is_root: begins a trace where none is running; without
    it, background work is not traced.
    """
    if _tracer is None:
        return NO_SPAN
    return _tracer.span(name, attributes, is_client=is_client, is_root=is_root)


def note(attributes: Attributes) -> None:
    """Add attributes to the first span of the running trace, which is the one of the request."""
    if _tracer is not None:
        _tracer.note(attributes)


def trace_id() -> str:
    """The id of the running trace as 32 hexadecimal digits; "" without one that is exported."""
    return "" if _tracer is None else _tracer.trace_id()


def stop() -> None:
    """Export what is left, for a moment at most. Nothing is traced afterwards."""
    if _tracer is not None:
        _tracer.stop()
        use(None)
