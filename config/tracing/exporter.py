"""Sends spans to the collector, bounded in time and size like every request to another server."""

import logging
from collections.abc import Mapping, Sequence

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from core.http import FetchError, send

logger = logging.getLogger("gatehouse.tracing")
TIMEOUT_SECONDS = 3.0


class Exporter(SpanExporter):
    """Posts spans as OTLP/HTTP with protobuf (OTLP 1.x). One try each; what fails is dropped.

    Logs the first failure and the first success after it, so a collector that is down fills no log.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = {**headers, "Content-Type": "application/x-protobuf", "Accept": "*/*"}
        self._is_failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Never raises: the thread that calls it must go on."""
        reason = self._send(spans)
        if reason and not self._is_failing:
            logger.warning(
                "traces could not be exported; further failures are not logged",
                extra={"reason": reason},
            )
        if self._is_failing and not reason:
            logger.info("traces are exported again")
        self._is_failing = bool(reason)
        return SpanExportResult.FAILURE if reason else SpanExportResult.SUCCESS

    def _send(self, spans: Sequence[ReadableSpan]) -> str:
        """Why it failed, or ""."""
        try:
            answer = send(
                "POST",
                self._url,
                headers=self._headers,
                data=encode_spans(spans).SerializeToString(),
                timeout=TIMEOUT_SECONDS,
                allows_http=True,
            )
        except FetchError as error:
            return str(error)
        except Exception as error:
            return type(error).__name__
        return "" if answer.status < 300 else f"{self._url}: status {answer.status}"
