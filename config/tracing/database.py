"""Spans of database transactions, and the number of statements of a trace. Never SQL or values."""

from collections.abc import Callable
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from opentelemetry.trace import SpanKind, Tracer

from config.tracing.spans import RunningSpan, first_span

NAME = "transaction"
COMMITTED, ROLLED_BACK = "commit", "rollback"
SYSTEM, STATEMENTS, OUTCOME = "db.system.name", "gatehouse.db.statements", "gatehouse.db.outcome"


class Watch:
    """Watches one connection. Django has no signal for transactions, so two methods are replaced.

    They are those of this object alone, and only while tracing is on.
    """

    def __init__(self, connection: BaseDatabaseWrapper, tracer: Tracer) -> None:
        self._tracer, self._system = tracer, connection.vendor
        self._transaction: RunningSpan | None = None
        self._outcome = ROLLED_BACK
        self._is_beginning = False
        self._set_autocommit, self._commit = connection.set_autocommit, connection.commit
        connection.set_autocommit = self.set_autocommit  # type: ignore[method-assign]
        connection.commit = self.commit  # type: ignore[method-assign]
        connection.execute_wrappers.append(self.execute)

    def set_autocommit(self, autocommit: bool, *arguments: Any, **more: Any) -> None:
        """Begin a span with a transaction, before it waits for a lock; end it with its end."""
        is_inner = self._is_beginning  # to begin, it connects first, and calls this once more
        if autocommit and not is_inner:
            self._end()
        if autocommit or is_inner:
            self._set_autocommit(autocommit, *arguments, **more)
            return
        if first_span.get() is not None:
            span = self._tracer.start_span(
                NAME, kind=SpanKind.CLIENT, attributes={SYSTEM: self._system}
            )
            self._transaction, self._outcome = RunningSpan(span), ROLLED_BACK
        # On SQLite the BEGIN is a statement like any other, on PostgreSQL it is none.
        self._is_beginning = True
        try:
            self._set_autocommit(autocommit, *arguments, **more)
        finally:
            self._is_beginning = False

    def commit(self) -> None:
        """Commit, and remember it for the span."""
        self._commit()
        self._outcome = COMMITTED

    def execute(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        """Count a statement (Django's documentation: database instrumentation)."""
        first = first_span.get()
        if first is not None and not self._is_beginning:
            first.statements += 1
            if self._transaction is not None:
                self._transaction.statements += 1
        return execute(sql, params, many, context)

    def _end(self) -> None:
        running, self._transaction = self._transaction, None
        if running is not None:
            running.note({STATEMENTS: running.statements, OUTCOME: self._outcome})
            running.otel.end()


def watch_connection(tracer: Tracer) -> None:
    """Watch the connection of this thread to the database, also before it is opened."""
    connection = connections[DEFAULT_DB_ALIAS]
    if not isinstance(getattr(connection.set_autocommit, "__self__", None), Watch):
        Watch(connection, tracer)
