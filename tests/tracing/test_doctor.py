"""`manage.py doctor` asks the collector."""

from pytest_django.fixtures import Settings

from config.tracing.conf import TracingSettings
from devtools.servers.processes import free_port
from operations.doctor import EXAMINATIONS, SLOW, _traces
from operations.reachability import collector_faults
from tests.tracing.collector import Collector

SECRET = "collector-secret-0123"


def _use(settings: Settings, url: str) -> None:
    settings.TRACING = TracingSettings(
        f"{url}/v1/traces", "gate", "always_on", 1.0, {}, {"x-key": SECRET}
    )


def test_doctor_asks_beside_the_other_servers() -> None:
    assert _traces in EXAMINATIONS
    assert _traces in SLOW
    assert list(_traces()) == []


def test_a_collector_that_works_is_no_finding(settings: Settings, collector: Collector) -> None:
    _use(settings, collector.url)

    assert list(_traces()) == []
    (post,) = collector.posts
    assert (post.path, post.body, post.headers["x-key"]) == ("/v1/traces", b"", SECRET)


def test_a_collector_that_refuses_is_a_warning(settings: Settings, collector: Collector) -> None:
    _use(settings, collector.url)
    collector.answer = lambda handler: handler.send_error(401)

    (finding,) = _traces()

    assert (finding.level, finding.text) == (
        "warning",
        f"The collector of traces answers with status 401: {collector.url}/v1/traces",
    )
    assert "OTEL_EXPORTER_OTLP_HEADERS" in finding.fix


def test_a_collector_that_is_not_there_is_a_warning(settings: Settings) -> None:
    _use(settings, f"http://127.0.0.1:{free_port()}")

    (fault,) = collector_faults()

    assert not fault.is_error
    assert fault.text.startswith("The collector of traces does not answer: http://127.0.0.1:")
    assert SECRET not in fault.text
