"""The Helm chart: with default values it gives what deploy/kubernetes has."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from config.environment.variables import BY_NAME
from core.version import VERSION
from devtools.servers.processes import ROOT
from tests.servers.helm import merged, render

CHART = ROOT / "deploy" / "helm" / "gatehouse"
PLAIN = ROOT / "deploy" / "kubernetes"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
EVERYTHING: dict[str, Any] = {
    "image": {"tag": "9.9.9"},
    "imagePullSecrets": [{"name": "registry"}],
    "host": "sign-in.example.org",
    "secret": "keys",
    "settings": {"WEB_THREADS": "16", "METRICS_NETWORKS": None, "BRAND_NAME": 'The "Gate"'},
    "extraEnv": [
        {
            "name": "RESEND_API_KEY",
            "valueFrom": {"secretKeyRef": {"name": "mail", "key": "RESEND_API_KEY"}},
        }
    ],
    "ingress": {"enabled": True, "annotations": {"cert-manager.io/cluster-issuer": "main"}},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "gate", "operator": "Exists"}],
}
NOTHING: dict[str, Any] = {
    "networkPolicy": {"enabled": False},
    "podDisruptionBudget": {"enabled": False},
    "migration": {"enabled": False},
    "replicas": 1,
}


def _objects(values: dict[str, Any], release: str = "gatehouse") -> dict[tuple[str, str], Any]:
    objects = render(CHART, values, release)
    found = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    assert len(found) == len(objects)
    return found


def _plain() -> dict[tuple[str, str], Any]:
    objects = [yaml.safe_load(file.read_text()) for file in PLAIN.glob("*.yaml")]
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def _container(workload: dict[str, Any]) -> dict[str, Any]:
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(container)


def _environment(container: dict[str, Any], settings: dict[str, str]) -> dict[str, Any]:
    own = {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}
    assert len(own) == len(container["env"])
    return {**(settings if "envFrom" in container else {}), **own}


def test_default_values_give_the_plain_files() -> None:
    chart, plain = _objects({}), _plain()
    settings = plain.pop(("ConfigMap", "gatehouse"))["data"]
    job = chart[("Job", "gatehouse-migration")]["metadata"]
    assert job.pop("annotations") == {
        "helm.sh/hook": "pre-install,pre-upgrade",
        "helm.sh/hook-delete-policy": "before-hook-creation",
    }

    # The chart writes settings into the pods, so that changed settings replace the pods.
    for name in (("Deployment", "gatehouse"), ("Job", "gatehouse-migration")):
        ours, theirs = _container(chart[name]), _container(plain[name])
        assert _environment(ours, {}) == _environment(theirs, settings)
        assert ours.pop("imagePullPolicy") == "IfNotPresent"
        for container in (ours, theirs):
            container.pop("env")
            container.pop("envFrom", None)
        assert ours == theirs
        for workload in (chart[name], plain[name]):
            workload["spec"]["template"]["spec"].pop("containers")
    assert chart == plain


def test_every_choice_reaches_its_object() -> None:
    chart = _objects(EVERYTHING, "gate")
    pod = chart[("Deployment", "gate")]["spec"]["template"]["spec"]
    container = _container(chart[("Deployment", "gate")])
    environment = _environment(container, {})

    assert container["image"] == "registry.example.com/gatehouse:9.9.9"
    assert environment["PUBLIC_URL"] == "https://sign-in.example.org"
    assert environment["DATABASE_URL"] == {"secretKeyRef": {"name": "keys", "key": "DATABASE_URL"}}
    assert environment["RESEND_API_KEY"] == EVERYTHING["extraEnv"][0]["valueFrom"]
    assert (environment["WEB_THREADS"], environment["BRAND_NAME"]) == ("16", 'The "Gate"')
    assert "METRICS_NETWORKS" not in environment
    for name in ("imagePullSecrets", "nodeSelector", "tolerations"):
        assert pod[name] == EVERYTHING[name]
    ingress = chart[("Ingress", "gate")]
    assert ingress["metadata"]["annotations"] == EVERYTHING["ingress"]["annotations"]
    assert ingress["spec"]["tls"] == [
        {"hosts": ["sign-in.example.org"], "secretName": "gatehouse-tls"}
    ]
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"] == {"name": "gate", "port": {"name": "http"}}
    monitor = chart[("ServiceMonitor", "gate")]
    assert monitor["metadata"]["labels"] == {"app": "gate", "release": "prometheus"}
    assert monitor["spec"]["selector"]["matchLabels"] == {"app": "gate"}
    assert chart[("Service", "gate")]["metadata"]["labels"] == {"app": "gate"}


def test_what_is_disabled_is_left_out() -> None:
    assert set(_objects(NOTHING)) == {("Deployment", "gatehouse"), ("Service", "gatehouse")}


@pytest.mark.parametrize("values", [{}, EVERYTHING, NOTHING])
def test_the_schema_accepts_what_the_chart_uses(values: dict[str, Any]) -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(merged(DEFAULTS, values))


@pytest.mark.parametrize(
    "values",
    [
        {"replica": 3},
        {"replicas": "3"},
        {"image": {"tag": "latest"}},
        {"host": "https://gate.example.com"},
        {"settings": {"WEB_WORKERS": 2}},
        {"settings": {"SECRET_KEY": "in the clear"}},
        {"settings": {"web_workers": "2"}},
        {"networkPolicy": {"from": []}},
        {"extraEnv": [{"value": "no name"}]},
        {"serviceMonitor": {"interval": 30}},
    ],
)
def test_the_schema_refuses_mistakes(values: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(SCHEMA).validate(merged(DEFAULTS, values))


def test_the_chart_has_the_version_of_the_code_and_sets_only_settings_that_exist() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    environment = _environment(_container(_objects({})[("Deployment", "gatehouse")]), {})

    assert about["version"] == about["appVersion"] == VERSION
    assert set(environment) - {"POD_IP"} <= set(BY_NAME)


@pytest.mark.skipif(shutil.which("helm") is None, reason="Helm is not installed")
@pytest.mark.parametrize("values", [{}, EVERYTHING, NOTHING])
def test_helm_renders_the_same(values: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    command = ["helm", "template", "gate", str(CHART), "--values", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    objects = [each for each in yaml.safe_load_all(done.stdout) if each is not None]
    named = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    assert named == _objects(values, "gate")
