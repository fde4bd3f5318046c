"""HOST=unix:…: a socket file instead of a port, behind proxies with the shipped files."""

import json
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.servers.databases import InstanceData
from devtools.servers.fronts import CLIENT, SITE, Proxy, start_caddy, start_nginx
from devtools.servers.gatehouse import SERVE
from devtools.servers.processes import wait_for
from devtools.servers.quick import QuickServer, warmed

MANAGE = """
import sys
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gatehouse.sock"


@pytest.fixture
def server(sqlite_data: InstanceData, tmp_path: Path, file: Path) -> Iterator[QuickServer]:
    environment = sqlite_data.environment(
        HOST=f"unix:{file}", PUBLIC_URL=f"https://{SITE}", TRUSTED_PROXIES="127.0.0.1"
    )
    running = QuickServer(SERVE, tmp_path / "server.log", environment, warmed)
    running.wait_until(lambda: answers(file))
    yield running
    running.stop()


@pytest.fixture(params=["nginx", "caddy"])
def proxy(
    request: pytest.FixtureRequest, server: QuickServer, file: Path, tmp_path: Path
) -> Iterator[Proxy]:
    folder = tmp_path / request.param
    folder.mkdir()
    running = {"nginx": start_nginx, "caddy": start_caddy}[request.param](file, folder)
    yield running
    running.process.stop()


def test_the_site_answers_through_a_socket_file(proxy: Proxy, server: QuickServer) -> None:
    answer = proxy.get("/health/ready", {"X-Forwarded-For": "203.0.113.9"})
    sign_in = proxy.get("/sign-in")

    assert (answer.status, sign_in.status) == (200, 200)
    assert "max-age=31536000" in answer.headers["strict-transport-security"]
    events = [json.loads(line) for line in server.output().splitlines() if line.startswith("{")]
    assert [event["ip"] for event in events if event.get("route") == "health/ready"] == [CLIENT]


def test_only_user_and_group_may_connect(server: QuickServer, file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o660


def test_the_server_stops_at_once(server: QuickServer) -> None:
    server.process.terminate()

    assert server.process.wait(10) == 0


def serve(data: InstanceData, file: Path, *arguments: str) -> tuple[int, str]:
    environment = data.environment(HOST=f"unix:{file}")
    ended = warmed.run(MANAGE, "serve", *arguments, environment=environment)
    return ended.returncode, ended.stderr


def test_a_second_server_does_not_replace_the_socket(
    server: QuickServer, sqlite_data: InstanceData, file: Path
) -> None:
    status, said = serve(sqlite_data, file)

    assert (status, f"HOST=unix:{file}: another server listens there" in said) == (1, True)
    assert file.is_socket()


def test_a_missing_folder_is_named(sqlite_data: InstanceData, tmp_path: Path) -> None:
    file = tmp_path / "missing" / "gatehouse.sock"
    status, said = serve(sqlite_data, file)

    assert (status, f"HOST=unix:{file}: cannot be made there" in said) == (1, True)


def test_a_file_that_is_no_socket_is_kept(sqlite_data: InstanceData, file: Path) -> None:
    file.write_text("precious")
    status, _said = serve(sqlite_data, file)

    assert (status, file.read_text()) == (1, "precious")


def test_a_stale_socket_is_replaced(sqlite_data: InstanceData, tmp_path: Path, file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(file))
    environment = sqlite_data.environment(HOST=f"unix:{file}")
    code = MANAGE.replace("*sys.argv[1:]", '"serve"')
    node = QuickServer(code, tmp_path / "node.log", environment, warmed)
    try:
        assert wait_for(lambda: answers(file), 30), node.output()
    finally:
        node.stop()


def answers(file: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(file))
            client.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return client.recv(100).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


def test_a_relative_path_is_rejected_at_the_start(sqlite_data: InstanceData) -> None:
    status, said = serve(sqlite_data, Path("gatehouse.sock"))

    assert (status, "unix:/run/gatehouse/gatehouse.sock" in said) == (1, True)
