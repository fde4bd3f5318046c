"""The shipped files for several nodes refer to existing things, pin images, hold no secret."""

import re
import subprocess
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client

from config.environment.variables import BY_NAME
from core.version import VERSION
from devtools.servers.processes import ROOT, free_port, program

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.three-nodes.yaml").read_text())
ONE_NODE = yaml.safe_load((ROOT / "compose.yaml").read_text())
KUBERNETES = {
    file.stem: yaml.safe_load(file.read_text()) for file in (DEPLOY / "kubernetes").glob("*.yaml")
}
PAGE = (ROOT / "docs" / "several-nodes.md").read_text()
NODES = ("app1", "app2", "app3")
PODS = ("deployment", "migration")
# Fields of the pod, for ALLOWED_HOSTS.
NOT_OURS = {"POD_IP"}
SECRETS = {"DATABASE_URL", "SECRET_KEY", "ENCRYPTION_KEY"}


def _pod(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = KUBERNETES[name]["spec"]["template"]["spec"]
    return spec


def _container(name: str) -> dict[str, Any]:
    (container,) = _pod(name)["containers"]
    return dict(container)


def _environment(name: str) -> dict[str, Any]:
    """The settings of a pod: those of the config map, and its own."""
    own = {entry["name"]: entry for entry in _container(name)["env"]}
    return {**KUBERNETES["settings"]["data"], **own}


@pytest.mark.parametrize("service", [*NODES, "migrate"])
def test_compose_sets_only_settings_that_exist(service: str) -> None:
    assert set(COMPOSE["services"][service]["environment"]) <= set(BY_NAME)


@pytest.mark.parametrize("name", PODS)
def test_kubernetes_sets_only_settings_that_exist(name: str) -> None:
    assert set(_environment(name)) - NOT_OURS <= set(BY_NAME)


def test_every_node_gets_the_same_settings_and_secrets() -> None:
    settings = [COMPOSE["services"][name]["environment"] for name in (*NODES, "migrate")]

    assert settings == [settings[0]] * 4
    assert settings[0].keys() >= SECRETS
    assert all(_environment(name).keys() >= SECRETS for name in PODS)


def test_secrets_are_required_and_never_included() -> None:
    environment = COMPOSE["services"]["app1"]["environment"]
    for name in ("SECRET_KEY", "ENCRYPTION_KEY"):
        assert environment[name] == f"${{{name}:?set it in .env}}"
    for pod in PODS:
        given = _environment(pod)
        references = [given[name]["valueFrom"]["secretKeyRef"] for name in sorted(SECRETS)]
        assert references == [{"name": "gatehouse", "key": name} for name in sorted(SECRETS)]
        assert not [entry for entry in given.values() if "value" in entry and "://" in str(entry)]


def test_the_settings_map_names_no_server_with_a_password() -> None:
    assert "postgres" not in (DEPLOY / "kubernetes" / "settings.yaml").read_text()


def test_in_kubernetes_only_trusted_proxies_reach_the_nodes() -> None:
    trusted = [
        ip_network(text) for text in _environment("deployment")["TRUSTED_PROXIES"].split(",")
    ]
    policy = KUBERNETES["network"]["spec"]

    assert [network.num_addresses for network in trusted] == [1] * len(trusted)
    assert policy["podSelector"]["matchLabels"].items() <= (
        KUBERNETES["deployment"]["spec"]["template"]["metadata"]["labels"].items()
    )
    assert policy["policyTypes"] == ["Ingress"]
    (rule,) = policy["ingress"]
    assert rule["ports"] == [{"port": "http"}]
    # One entry with both means pods of that name in that namespace; two entries mean either.
    assert all(peer.keys() == {"namespaceSelector", "podSelector"} for peer in rule["from"])
    assert [peer["podSelector"]["matchLabels"] for peer in rule["from"]] == [
        {"app.kubernetes.io/name": name} for name in ("ingress-nginx", "prometheus")
    ]


def _images() -> dict[str, str]:
    found = {name: service["image"] for name, service in COMPOSE["services"].items()}
    return found | {name: _container(name)["image"] for name in PODS}


@pytest.mark.parametrize("image", sorted(set(_images().values())))
def test_images_are_pinned(image: str) -> None:
    name, _colon, tag = image.rpartition(":")

    assert name
    assert re.fullmatch(r"\d[\w.-]*", tag)


def test_our_image_carries_the_version_of_the_code() -> None:
    tags = {image.rpartition(":")[2] for image in _images().values() if "gatehouse" in image}

    assert tags == {VERSION}


def test_the_database_is_the_same_as_with_one_node() -> None:
    assert COMPOSE["services"]["db"]["image"] == ONE_NODE["services"]["db"]["image"]


@pytest.mark.django_db
@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_the_path_of_a_probe_answers(probe: str) -> None:
    container = _container("deployment")
    asked = container[probe]["httpGet"]

    assert asked["port"] in [port["name"] for port in container["ports"]]
    answer = Client(headers={"host": "localhost"}).get(asked["path"])
    assert answer.status_code == 200


def test_a_missing_database_restarts_no_node() -> None:
    assert _container("deployment")["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert _container("deployment")["readinessProbe"]["httpGet"]["path"] == "/health/ready"


@pytest.mark.django_db
def test_path_and_port_for_prometheus_exist() -> None:
    annotations = KUBERNETES["deployment"]["spec"]["template"]["metadata"]["annotations"]

    assert annotations["prometheus.io/port"] == KUBERNETES["settings"]["data"]["PORT"]
    path = annotations["prometheus.io/path"]
    assert Client(headers={"host": "localhost"}).get(path).status_code == 200


def test_the_grace_period_is_long_enough() -> None:
    pod = _pod("deployment")
    pause = int(_container("deployment")["lifecycle"]["preStop"]["exec"]["command"][1])

    assert pod["terminationGracePeriodSeconds"] >= pause + 30
    assert {COMPOSE["services"][name]["stop_grace_period"] for name in NODES} == {"30s"}


def test_references_between_objects_are_valid() -> None:
    labels = KUBERNETES["deployment"]["spec"]["template"]["metadata"]["labels"]
    deployment, service = KUBERNETES["deployment"]["spec"], KUBERNETES["service"]["spec"]

    assert deployment["selector"]["matchLabels"] == labels
    assert service["selector"] == labels
    assert KUBERNETES["disruption"]["spec"]["selector"]["matchLabels"] == labels
    assert KUBERNETES["disruption"]["spec"]["minAvailable"] == deployment["replicas"] - 1
    # The service sends no requests to the pod that migrates the database.
    assert KUBERNETES["migration"]["spec"]["template"]["metadata"]["labels"] != labels
    names = [port["name"] for port in _container("deployment")["ports"]]
    assert [port["targetPort"] for port in service["ports"]] == names


def test_a_roll_out_never_reduces_the_number_of_nodes() -> None:
    rolling = KUBERNETES["deployment"]["spec"]["strategy"]["rollingUpdate"]

    assert rolling == {"maxUnavailable": 0, "maxSurge": 1}


@pytest.mark.parametrize("name", PODS)
def test_pods_have_no_further_privileges(name: str) -> None:
    assert _pod(name)["securityContext"]["runAsUser"] == 10001  # as in the image
    assert _pod(name)["automountServiceAccountToken"] is False
    assert _container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = {mount["mountPath"] for mount in _container(name)["volumeMounts"]}
    assert mounts == {"/tmp", KUBERNETES["settings"]["data"]["DATA_DIR"]}


def test_compose_starts_nodes_after_the_database_is_up_to_date() -> None:
    services = COMPOSE["services"]

    assert services["migrate"]["command"] == _container("migration")["command"]
    waits = [services[name]["depends_on"] for name in NODES]
    assert waits == [{"migrate": {"condition": "service_completed_successfully"}}] * 3
    assert set(services["proxy"]["depends_on"]) == set(NODES)


def test_compose_publishes_only_the_proxy() -> None:
    assert [name for name, of in COMPOSE["services"].items() if "ports" in of] == ["proxy"]


def test_the_proxy_asks_every_node() -> None:
    text = (DEPLOY / "nginx.three-nodes.conf").read_text()

    assert re.findall(r"server (\w+):8000", text) == list(NODES)
    assert set(re.findall(r"access_log (\S+);", text)) == {"off"}


def test_mounted_files_exist_or_are_documented() -> None:
    volumes = COMPOSE["services"]["proxy"]["volumes"]
    paths = [line.partition(":")[0].removeprefix("./") for line in volumes]

    assert [path for path in paths if not (ROOT / path).exists() and path not in PAGE] == []


def test_nginx_validates_the_shipped_file(tmp_path: Path) -> None:
    text = (DEPLOY / "nginx.three-nodes.conf").read_text()
    # This machine has neither the host names of the containers nor the certificates.
    text = re.sub(r"app\d:8000", "127.0.0.1:8000", text)
    text = re.sub(r"(?m)^\s*ssl_\w+ .*$|^\s*error_log.*$", "", text)
    text = text.replace("listen 443 ssl", f"listen {free_port()}").replace("listen 80", "listen 1")
    (tmp_path / "site.conf").write_text(text)
    head = f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\n"
    (tmp_path / "nginx.conf").write_text(f"{head}http {{ include {tmp_path}/site.conf; }}\n")
    command = [program("nginx"), "-t", "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True)

    assert "syntax is ok" in done.stderr


@pytest.mark.parametrize("name", sorted(KUBERNETES))
def test_the_page_names_every_file(name: str) -> None:
    assert f"deploy/kubernetes/{name}.yaml" in PAGE
