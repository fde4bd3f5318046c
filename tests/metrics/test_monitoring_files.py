"""The shipped dashboard and alerts name what /metrics really holds, and the page explains both."""

import json
import re
from typing import Any

import pytest
import yaml

from config.metrics_collectors import COUNTED
from tests.architecture.sources import ROOT
from tests.metrics.scraped import names

DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "gatehouse.json").read_text())
ALERTS = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
PAGE = (ROOT / "docs" / "metrics.md").read_text()
RULES: list[dict[str, Any]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
EXPRESSIONS = [*QUERIES, *(rule["expr"] for rule in RULES)]
# By name, the labels that each counter has; a scrape of a new server has not seen them yet.
LABELS = {f"{counted.name}_total": set(counted.labels) for counted in COUNTED}
EVERYWHERE = {"job", "instance"}

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_query_names_only_existing_metrics(expression: str) -> None:
    assert set(re.findall(r"gatehouse_\w+", expression)) <= names()
    assert expression.count("(") == expression.count(")")


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_query_chooses_only_by_labels_that_exist(expression: str) -> None:
    for name, chosen in re.findall(r"(gatehouse_\w+_total)\{([^}]*)\}", expression):
        labels = set(re.findall(r"(\w+)=", chosen))
        assert labels <= LABELS[name] | EVERYWHERE


def test_the_page_lists_exactly_the_metrics() -> None:
    named = set(re.findall(r"`(gatehouse_\w+)`", PAGE))

    assert named == names()


def test_every_metric_is_on_the_dashboard_or_has_an_alert() -> None:
    shown = {name for text in EXPRESSIONS for name in re.findall(r"gatehouse_\w+", text)}

    assert names() - shown == {"gatehouse_address_requests"}


def test_every_alert_is_explained_and_says_how_bad_it_is() -> None:
    alerts = [rule["alert"] for rule in RULES]

    assert re.findall(r"(?m)^\| `(Gatehouse\w+)`", PAGE) == alerts
    assert {rule["labels"]["severity"] for rule in RULES} == {"critical", "warning"}
    assert [rule["alert"] for rule in RULES if not rule["annotations"]["summary"]] == []


def test_panels_do_not_overlap_and_have_unique_ids() -> None:
    panels = DASHBOARD["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}

    assert len(places) == len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
