"""Settings of traces, by the names that OpenTelemetry defines for every program."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from config.environment.errors import Problem
from config.environment.parsing.otel import check_headers, check_pairs, check_ratio
from config.environment.schema import Section, choice, secret, switch, text, url

SAMPLERS = tuple(
    f"{prefix}{name}"
    for prefix in ("parentbased_", "")
    for name in ("always_on", "always_off", "traceidratio")
)
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PACKAGES = ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-common")


def is_traced(values: Mapping[str, Any]) -> bool:
    """Whether spans are exported."""
    return any(values[name] for name in ENDPOINTS) and not values["OTEL_SDK_DISABLED"]


def check_tracing(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Errors: traces need packages that not every instance has."""
    if not is_traced(values):
        return
    absent = [name for name in PACKAGES if not _is_installed(name)]
    if absent:
        given = next(name for name in ENDPOINTS if values[name])
        yield Problem(given, f"needs {absent[0]}, which is not installed", "run `make setup-otel`")


def _is_installed(name: str) -> bool:
    with suppress(PackageNotFoundError):
        return bool(distribution(name))
    return False


TRACING = Section(
    "Traces",
    "Spans for an OpenTelemetry collector; docs/tracing.md describes them. Off until one of the "
    "two endpoints is set. The names are those of OpenTelemetry, so a value that is set for all "
    "programs of a machine also reaches Gatehouse.",
    url(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        example="http://collector:4318",
        default_note="no traces",
    ).with_help(
        "The OTLP/HTTP address of the collector, often with the port 4318. Spans go to /v1/traces "
        "below it. With https, PROVIDER_CA_FILE counts as well. Needs the packages of "
        "requirements/otel.txt."
    ),
    url(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        example="https://traces.example.com/otlp/v1/traces",
        default_note="/v1/traces below OTEL_EXPORTER_OTLP_ENDPOINT",
    ).with_help("The whole address for spans, if it is another one. Takes precedence."),
    choice(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        default="http/protobuf",
        example="http/protobuf",
        choices=("http/protobuf",),
        fix="write http/protobuf, and the address and port at which the collector takes OTLP/HTTP",
    ).with_help("How spans are sent. There is only one way; grpc is refused."),
    secret(
        "OTEL_EXPORTER_OTLP_HEADERS",
        default_note="none",
        check=check_headers,
    ).with_help(
        "Headers of each export, such as the key of a service that takes traces: name=value, "
        "separated by commas, values percent-encoded, as in Authorization=Bearer%20TOKEN."
    ),
    text("OTEL_SERVICE_NAME", default="gatehouse", example="gatehouse-staging").with_help(
        "The name of this instance in traces (service.name)."
    ),
    text(
        "OTEL_RESOURCE_ATTRIBUTES",
        default="",
        example="deployment.environment.name=staging",
        check=check_pairs,
        default_note="none",
    ).with_help("Further attributes of this instance: name=value, separated by commas."),
    choice(
        "OTEL_TRACES_SAMPLER",
        default="parentbased_always_on",
        example="parentbased_traceidratio",
        choices=SAMPLERS,
    ).with_help(
        "Which traces are exported. Those that begin with parentbased_ follow the decision of a "
        "trusted proxy that sends `traceparent`; without one, the rest of the name counts."
    ),
    text("OTEL_TRACES_SAMPLER_ARG", default="1.0", example="0.05", check=check_ratio).with_help(
        "The part of traces that a traceidratio exports: 0.05 is one of twenty."
    ),
    switch("OTEL_SDK_DISABLED", default=False).with_help("Turns traces off, whatever else is set."),
)
