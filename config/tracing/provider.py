"""Turns tracing on in this process: sampler, resource, queue and exporter of the SDK."""

import logging
from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)

from config.tracing.conf import TracingSettings
from config.tracing.exporter import Exporter
from config.tracing.spans import SdkTracer
from core import tracing
from core.version import VERSION

logger = logging.getLogger("gatehouse.tracing")
MAX_VALUE_LENGTH = 256
# The defaults of OpenTelemetry's specification.
QUEUE_SIZE, EVERY_MS, BATCH_SIZE = 2048, 5000.0, 512
PARENT_BASED = "parentbased_"


def start(config: TracingSettings) -> SdkTracer:
    """Trace this process. Call it after the fork of server processes, once.

    The provider is OpenTelemetry's global one, so spans of a team's own apps join these traces.
    """
    tracer = SdkTracer(make_provider(config))
    trace.set_tracer_provider(tracer.provider)
    tracing.use(tracer)
    return tracer


def make_provider(config: TracingSettings) -> TracerProvider:
    """A provider that exports in a thread of its own, from a queue that drops what is too much.

    The SDK reads the sizes of the queue from OTEL_BSP_* of the environment.
    """
    named: Mapping[str, Any] = {
        **config.resource,
        "service.name": config.service_name,
        "service.version": VERSION,
    }
    provider = TracerProvider(
        sampler=make_sampler(config.sampler, config.ratio),
        resource=Resource.create(named),
        span_limits=SpanLimits(max_span_attribute_length=MAX_VALUE_LENGTH),
        shutdown_on_exit=False,  # server processes call core.tracing.stop()
    )
    provider.add_span_processor(_queue(Exporter(config.url, config.headers)))
    return provider


def _queue(exporter: Exporter) -> BatchSpanProcessor:
    """The queue of the sizes in OTEL_BSP_*; of OpenTelemetry's own if those contradict each other.

    A server must not fail to start for its traces.
    """
    try:
        return BatchSpanProcessor(exporter)
    except ValueError as error:
        logger.warning("the sizes in OTEL_BSP_* are not used", extra={"reason": str(error)})
        return BatchSpanProcessor(
            exporter, QUEUE_SIZE, schedule_delay_millis=EVERY_MS, max_export_batch_size=BATCH_SIZE
        )


def make_sampler(name: str, ratio: float) -> Sampler:
    """The sampler that OTEL_TRACES_SAMPLER names."""
    samplers = {
        "always_on": ALWAYS_ON,
        "always_off": ALWAYS_OFF,
        "traceidratio": TraceIdRatioBased(ratio),
    }
    found = samplers[name.removeprefix(PARENT_BASED)]
    return ParentBased(found) if name.startswith(PARENT_BASED) else found
