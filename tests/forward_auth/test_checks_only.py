"""`manage.py serve --checks-only`: a process group of its own beside the server of pages."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.servers.client import HTTPClient
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse, is_live
from devtools.servers.processes import ServerProcess, free_port, wait_for
from tests.forward_auth.driver import Driver
from tests.servers.fixtures import StartGatehouse

CHECK_PATHS = {"X-Original-URL": "https://app.example.com/board", "X-Original-Method": "POST"}
SERVE = [sys.executable, "manage.py", "serve", "--checks-only"]


@pytest.fixture
def pages(any_data: InstanceData, gatehouse_server: StartGatehouse) -> Gatehouse:
    return gatehouse_server(any_data, processes=1)


@pytest.fixture
def checks(any_data: InstanceData, pages: Gatehouse, tmp_path: Path) -> Iterator[HTTPClient]:
    """The process group of checks, over the data of `pages`."""
    port = free_port()
    environment = any_data.environment(**pages.environment, PORT=str(port), WEB_WORKERS="2")
    server = ServerProcess(SERVE, tmp_path / "checks.log", environment=environment)
    try:
        server.wait_until(lambda: is_live(port))
        yield HTTPClient(f"http://127.0.0.1:{port}")
    finally:
        server.stop()


@pytest.fixture
def driver(any_data: InstanceData, pages: Gatehouse) -> Iterator[Driver]:
    with Driver(any_data, **pages.environment) as running:
        yield running


def test_it_decides_as_the_main_server(checks: HTTPClient, driver: Driver) -> None:
    offer = driver("result = offer(person('vera'), 'key')")
    assert checks.get("/auth/check", {**CHECK_PATHS, **offer}).status == 204
    driver("ApiKey.objects.update(revoked_at=now())")
    refused = checks.get("/auth/check", {**CHECK_PATHS, **offer})

    assert refused.status == 401
    reference = refused.headers["x-gatehouse-reference"]
    count = (
        f"from forward_auth.models import Denial; result = Denial.objects.filter(pk={reference!r})"
    )
    assert wait_for(lambda: driver(f"{count}.count()") == 1)


def test_it_redirects_to_the_main_server_and_serves_no_pages(
    checks: HTTPClient, pages: Gatehouse
) -> None:
    visit = {**CHECK_PATHS, "X-Original-Method": "GET", "Accept": "text/html"}
    sent = checks.get("/auth/forward", visit)
    assert (sent.status, sent.headers["location"].split("?")[0]) == (302, f"{pages.url}/sign-in")

    for path in ("/sign-in", "/admin/", "/api/v1/me", "/auth/check/", "/"):
        answer = checks.get(path)
        assert (answer.status, answer.body[:12]) == (404, b"This address"), path
    assert json.loads(checks.get("/health/ready").body)["status"] == "ok"
    assert "keys" in json.loads(checks.get("/.well-known/jwks.json").body)
    assert checks.get("/metrics").status == 200


def test_it_does_not_prepare_the_data(tmp_path: Path) -> None:
    data = InstanceData("empty", f"sqlite:///{tmp_path / 'empty.sqlite3'}", tmp_path)

    refused = data.manage("serve", "--checks-only", PORT=str(free_port()))
    assert refused.returncode == 1
    assert "Start `manage.py serve` without --checks-only first" in refused.stderr
