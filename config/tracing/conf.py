"""From the environment to settings.TRACING. Loads nothing of OpenTelemetry."""

from dataclasses import dataclass, field
from typing import Any

from config.environment.parsing.otel import parse_pairs
from config.environment.registry.tracing import is_traced

PATH = "/v1/traces"


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """url: where spans are posted. headers: of each post, secret. ratio: of a traceidratio."""

    url: str
    service_name: str
    sampler: str
    ratio: float
    resource: dict[str, str]
    headers: dict[str, str] = field(repr=False)


def tracing_settings(env: Any) -> TracingSettings | None:
    """How to trace, or None; `env` has no errors."""
    if not is_traced(env):
        return None
    base = env["OTEL_EXPORTER_OTLP_ENDPOINT"]
    return TracingSettings(
        url=env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] or f"{base}{PATH}",
        service_name=env["OTEL_SERVICE_NAME"] or "gatehouse",
        sampler=env["OTEL_TRACES_SAMPLER"],
        ratio=float(env["OTEL_TRACES_SAMPLER_ARG"] or 1),
        resource=parse_pairs(env["OTEL_RESOURCE_ATTRIBUTES"]),
        headers=parse_pairs(env["OTEL_EXPORTER_OTLP_HEADERS"] or ""),
    )
