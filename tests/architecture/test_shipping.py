"""What ships beside the code names only settings that exist, files that exist, and no secret."""

import re
from pathlib import Path

import pytest
import yaml

from config.environment.variables import BY_NAME
from tests.architecture.sources import ROOT

# Set for Python and the shell; or read by another container than ours.
NOT_OURS = {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
OTHER_CONTAINERS = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "UPSTREAM"}
IGNORED_BY_DOCKER = {".git", ".venv", ".env", "data", "tests"}


def _text(name: str) -> str:
    """A file without its comments."""
    return re.sub(r"(?m)^\s*#.*$", "", (ROOT / name).read_text())


def _service(name: str) -> str:
    """The lines of one service of compose.yaml."""
    services = _text("compose.yaml").partition("\nnetworks:")[0]
    found = re.search(rf"(?ms)^  {name}:(?: &\w+)?\n(.*?)(?=^  \w+:\n|\Z)", services)
    assert found is not None
    return found.group(1)


def _environment(service: str) -> dict[str, str]:
    found = re.search(r"(?ms)^    environment:(?: &\w+)?\n((?:(?: {6}.*)?\n)+)", service)
    assert found is not None
    pairs = re.findall(r"(?m)^ {6}(\w+): (.*)$", found.group(1))
    return {name: value.strip('"') for name, value in pairs}


def test_image_sets_only_declared_variables() -> None:
    lines = re.search(r"(?ms)^ENV (.*?)(?<!\\)$", _text("Dockerfile"))
    assert lines is not None
    names = set(re.findall(r"(?m)(?:^|\s)(\w+)=", lines.group(1)))

    assert names - NOT_OURS <= set(BY_NAME)
    assert {"DATA_DIR", "HOST", "PORT"} <= names


def test_image_copies_only_files_that_exist() -> None:
    copied = re.findall(r"(?m)^COPY (?!--from)(.*) \S+$", _text("Dockerfile"))
    sources = [source for line in copied for source in line.split()]

    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_image_runs_as_an_ordinary_user_and_is_watched() -> None:
    text = _text("Dockerfile")

    assert re.findall(r"(?m)^USER (.*)$", text) == ["10001:10001"]
    assert '["python", "-IS", "config/server/health_check.py"]' in text
    assert re.findall(r"(?m)^CMD (.*)$", text) == ['["python", "manage.py", "serve"]']


def test_image_contains_only_what_the_server_runs() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    admitted = {line.strip("!/") for line in lines if line.startswith("!")}

    assert "*" in lines
    assert admitted & IGNORED_BY_DOCKER == set()
    assert {folder.parent.name for folder in ROOT.glob("*/apps.py")} <= admitted
    assert [name for name in sorted(admitted) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", ["app", "checks"])
def test_compose_gives_the_server_a_read_only_file_system_and_no_rights(name: str) -> None:
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"][name]

    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_compose_sets_only_declared_variables() -> None:
    names = set(_environment(_service("app")))

    assert names <= set(BY_NAME)


def test_compose_requires_only_the_url_and_one_password() -> None:
    assert set(re.findall(r"\$\{(\w+)", _text("compose.yaml"))) == {
        "PUBLIC_URL",
        "POSTGRES_PASSWORD",
    }


def test_compose_holds_no_password() -> None:
    text = _text("compose.yaml")
    values = re.findall(r"(?m)^\s+\w*(?:PASSWORD|SECRET|KEY)\w*: (.*)$", text)
    in_urls = re.findall(r"://\w+:([^@]+)@", text)

    assert values == ["${POSTGRES_PASSWORD:?set it in .env}"]
    assert in_urls == values


def test_compose_watches_every_service() -> None:
    others = [name for name in ("db", "proxy") if "healthcheck:" not in _service(name)]

    assert others == []  # the application's check is in its image


def test_compose_publishes_only_the_proxy() -> None:
    published = [name for name in ("app", "checks", "db") if "ports:" in _service(name)]

    assert published == []
    assert 'ports: ["80:80", "443:443"' in _service("proxy")


def test_compose_trusts_the_one_proxy_in_front() -> None:
    environment = _environment(_service("app"))

    assert environment["TRUST_PROXY"] == "1"
    assert "networks: [front]" in _service("proxy")


def test_compose_mounts_only_files_that_exist() -> None:
    mounted = re.findall(r"(?m)^\s+- (\./[^:]+):", _text("compose.yaml"))

    assert [path for path in mounted if not (ROOT / path).exists()] == []
    assert mounted == ["./deploy/Caddyfile"]


@pytest.mark.parametrize(
    "name", ["compose.yaml", "deploy/Caddyfile", "deploy/nginx.conf", "deploy/haproxy.cfg"]
)
def test_shipped_files_name_only_variables_that_something_reads(name: str) -> None:
    words = set(re.findall(r"\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b(?==)", (ROOT / name).read_text()))

    assert words <= set(BY_NAME) | OTHER_CONTAINERS


@pytest.mark.parametrize(
    "path", [Path("deploy/Caddyfile"), Path("deploy/nginx.conf"), Path("deploy/haproxy.cfg")]
)
def test_proxies_write_no_path_to_a_log(path: Path) -> None:
    """A path may be a sign-in link."""
    text = _text(str(path))

    assert set(re.findall(r"(?m)^\s*log\b(.*)$", text)) <= {" default {"}
    assert set(re.findall(r"access_log (\S+);", text)) <= {"off"}
