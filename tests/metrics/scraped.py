"""Helpers to read a scrape of /metrics."""

from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from config.monitoring import registry

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(client: Client | None = None) -> Values:
    """Every sample of /metrics by (name, sorted labels)."""
    answer = (client or Client(headers={"host": "localhost:8000"})).get("/metrics")
    assert answer.status_code == 200, answer.content
    return samples(answer.content.decode())


def samples(text: str) -> Values:
    """Samples of Prometheus text; fails where it is not well-formed."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def grown(before: Values, after: Values) -> Values:
    """What is more than before, without what every request moves."""
    moving = ("gatehouse_requests", "gatehouse_database_answer")
    return {
        key: value - before.get(key, 0)
        for key, value in after.items()
        if value != before.get(key, 0) and not key[0].startswith(moving)
    }


def names() -> set[str]:
    """Every name that a query may use."""
    found: set[str] = set()
    for family in registry.collect():
        found.add(f"{family.name}_total" if family.type == "counter" else family.name)
    return found
