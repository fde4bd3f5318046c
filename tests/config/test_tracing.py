"""The variables of OpenTelemetry."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError

import pytest

from config.environment.registry import tracing
from config.tracing.conf import TracingSettings, tracing_settings
from tests.config.conftest import Load

Lines = Callable[..., list[str]]
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318"


def test_off_without_an_endpoint_and_when_disabled(load_env: Load) -> None:
    assert tracing_settings(load_env("")) is None
    assert tracing_settings(load_env("OTEL_SERVICE_NAME=gate")) is None
    assert tracing_settings(load_env(f"{ENDPOINT}\nOTEL_SDK_DISABLED=true")) is None


def test_an_endpoint_turns_it_on(load_env: Load) -> None:
    assert tracing_settings(load_env(f"{ENDPOINT}/")) == TracingSettings(
        url="http://collector:4318/v1/traces",
        service_name="gatehouse",
        sampler="parentbased_always_on",
        ratio=1.0,
        resource={},
        headers={},
    )


def test_everything_that_may_be_set(load_env: Load) -> None:
    found = tracing_settings(
        load_env(
            f"{ENDPOINT}\n"
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://traces.example.com/otlp/v1/traces\n"
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n"
            "OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%20abc, x-team=gate\n"
            "OTEL_SERVICE_NAME=gate\n"
            "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=staging%2C2,team=a\n"
            "OTEL_TRACES_SAMPLER=traceidratio\n"
            "OTEL_TRACES_SAMPLER_ARG=0.05\n"
        )
    )

    assert found == TracingSettings(
        url="https://traces.example.com/otlp/v1/traces",
        service_name="gate",
        sampler="traceidratio",
        ratio=0.05,
        resource={"deployment.environment.name": "staging,2", "team": "a"},
        headers={"Authorization": "Bearer abc", "x-team": "gate"},
    )
    assert "abc" not in repr(found)


@pytest.mark.parametrize(
    ("line", "start"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318", "OTEL_EXPORTER_OTLP_ENDPOINT: does not"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT=http://c/?key=geheim", "OTEL_EXPORTER_OTLP_ENDPOINT: "),
        ("OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' is not one of"),
        ("OTEL_EXPORTER_OTLP_HEADERS=geheim", "OTEL_EXPORTER_OTLP_HEADERS: is not a list"),
        ("OTEL_EXPORTER_OTLP_HEADERS=a b=geheim", "OTEL_EXPORTER_OTLP_HEADERS: is not a list"),
        ("OTEL_EXPORTER_OTLP_HEADERS=a=geheim%0d%0ab:c", "OTEL_EXPORTER_OTLP_HEADERS: is not a"),
        ("OTEL_EXPORTER_OTLP_HEADERS=a=%E2%82%ACgeheim", "OTEL_EXPORTER_OTLP_HEADERS: contains"),
        ("OTEL_RESOURCE_ATTRIBUTES=x", "OTEL_RESOURCE_ATTRIBUTES: is not a list"),
        ("OTEL_TRACES_SAMPLER=jaeger_remote", "OTEL_TRACES_SAMPLER: 'jaeger_remote' is not one of"),
        ("OTEL_TRACES_SAMPLER_ARG=2", "OTEL_TRACES_SAMPLER_ARG: '2' is not a number from 0 to 1"),
        ("OTEL_TRACES_SAMPLER_ARG=nan", "OTEL_TRACES_SAMPLER_ARG: 'nan' is not a number"),
    ],
)
def test_a_bad_value_stops_the_start(faults: Lines, line: str, start: str) -> None:
    (fault,) = faults(line)

    assert fault.startswith(start)
    assert "Fix: " in fault
    assert "geheim" not in fault or "HEADERS" not in fault


def test_the_packages_are_asked_for_only_where_traces_are_on(
    faults: Lines, load_env: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(tracing, "distribution", missing)

    assert tracing_settings(load_env("")) is None
    (fault,) = faults(ENDPOINT)
    assert fault == (
        "OTEL_EXPORTER_OTLP_ENDPOINT: needs opentelemetry-sdk, which is not installed. "
        "Fix: run `make setup-otel`."
    )
