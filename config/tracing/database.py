"""Spans of database transactions, and the number of statements of a trace. Never SQL or values."""

from collections.abc import Callable
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from opentelemetry.trace import SpanKind, Tracer

from config.tracing.spans import RunningSpan, first_span

NAME = "transaction"
SYSTEM, STATEMENTS, OUTCOME = "db.system.name", "gatehouse.db.statements", "gatehouse.db.outcome"


class Watch:
    """Watches one connection. Django has no signal for transactions, so two methods are replaced.

    They are those of this object alone, and only while tracing is on.
    """

    def __init__(self, connection: BaseDatabaseWrapper, tracer: Tracer) -> None:
        self._tracer, self._system = tracer, connection.vendor
        self._transaction: RunningSpan | None = None
        self._outcome = "commit"
        self._counts = True
        self._set_autocommit, self._rollback = connection.set_autocommit, connection.rollback
        connection.set_autocommit = self.set_autocommit  # type: ignore[method-assign]
        connection.rollback = self.rollback  # type: ignore[method-assign]
        connection.execute_wrappers.append(self.execute)

    def set_autocommit(self, autocommit: bool, *arguments: Any, **more: Any) -> None:
        """Begin a span with a transaction, before it waits for a lock; end it with its end."""
        if autocommit:
            self._end()
        elif first_span.get() is not None:
            span = self._tracer.start_span(
                NAME, kind=SpanKind.CLIENT, attributes={SYSTEM: self._system}
            )
            self._transaction, self._outcome = RunningSpan(span), "commit"
        # On SQLite the BEGIN is a statement like any other, on PostgreSQL it is none.
        self._counts = False
        try:
            self._set_autocommit(autocommit, *arguments, **more)
        finally:
            self._counts = True

    def rollback(self) -> None:
        """Roll back, and remember it for the span."""
        self._outcome = "rollback"
        self._rollback()

    def execute(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        """Count a statement (Django's documentation: database instrumentation)."""
        first = first_span.get()
        if first is not None and self._counts:
            first.statements += 1
            if self._transaction is not None:
                self._transaction.statements += 1
        return execute(sql, params, many, context)

    def _end(self) -> None:
        running, self._transaction = self._transaction, None
        if running is not None:
            running.note({STATEMENTS: running.statements, OUTCOME: self._outcome})
            running.otel.end()


def watch_connections(tracer: Tracer) -> None:
    """Watch the connections of this process to the database, those that exist and new ones."""

    def watch(connection: BaseDatabaseWrapper, **_of_signal: Any) -> None:
        if connection.alias == DEFAULT_DB_ALIAS and not _is_watched(connection):
            Watch(connection, tracer)

    # Not weakly, because nothing else holds it.
    connection_created.connect(watch, weak=False, dispatch_uid="gatehouse.tracing")
    watch(connections[DEFAULT_DB_ALIAS])


def _is_watched(connection: BaseDatabaseWrapper) -> bool:
    """A connection that was lost is created again, as the same object."""
    return isinstance(getattr(connection.set_autocommit, "__self__", None), Watch)
