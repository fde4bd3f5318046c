"""A node behind a proxy is replaced under load without a failed request."""

import http.client
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devtools.servers.client import HTTPClient
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse, is_live
from devtools.servers.processes import (
    ROOT,
    ServerProcess,
    accepts_connections,
    free_port,
    wait_for,
)
from devtools.servers.proxy_parts import nginx_command
from devtools.servers.quick import QuickServer, warmed
from tests.metrics.scraped import samples

IN_FLIGHT = 100
# Less than the 30 seconds after which the server drops an incomplete request.
WITHOUT_END = 15
IMPATIENT = """
import django
django.setup()
from config.server import processes as server
server.STOP_SECONDS = 1
server.run_server()
"""
StartGatehouse = Callable[..., Gatehouse]


@pytest.fixture
def nodes(gatehouse_server: StartGatehouse, postgres_data: InstanceData) -> Gatehouse:
    """Two nodes with one PostgreSQL database, behind a trusted proxy, with high limits."""
    more = {
        "LOGIN_MAX": "1000",
        "MAGIC_LINK_MAX": "100000",
        "RECIPIENT_MAIL_MAX": "1000",
        "WEB_WORKERS": "2",
    }
    return gatehouse_server(postgres_data, processes=2, TRUSTED_PROXIES="127.0.0.1", **more)


@pytest.fixture
def proxy(nodes: Gatehouse, tmp_path: Path) -> Iterator[int]:
    """The port of nginx with the shipped configuration for several nodes, without TLS."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    port = free_port()
    (folder / "site.conf").write_text(_site(nodes.ports, port))
    command = nginx_command(folder, f"include {folder}/site.conf;")
    process = ServerProcess(command, folder / "output")
    process.wait_until(lambda: accepts_connections(port))
    yield port
    process.stop()


def _site(ports: list[int], port: int) -> str:
    """deploy/nginx.three-nodes.conf with two nodes and plain HTTP on `port`."""
    shipped = (ROOT / "deploy" / "nginx.three-nodes.conf").read_text()
    upstream, _server, rest = shipped.partition("server {")
    lines = [line for line in upstream.splitlines() if "server app3" not in line]
    upstream = "\n".join(lines)
    for number, node in enumerate(ports, 1):
        assert upstream.count(f"app{number}:8000") == 1
        upstream = upstream.replace(f"app{number}:8000", f"127.0.0.1:{node}")
    location = rest[rest.index("location / {") :]
    return f"{upstream}\nserver {{ listen 127.0.0.1:{port}; access_log off;\n{location}"


class Crowd:
    """Keeps IN_FLIGHT requests running until end(); collects every status."""

    def __init__(self, url: str, ask: Callable[[HTTPClient], int]) -> None:
        self.url, self.ask = url, ask
        self.statuses: list[int | str] = []
        self.under_way = 0
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _one in range(IN_FLIGHT)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            with self._lock:
                self.under_way += 1
            status = self._ask_once()
            with self._lock:
                self.under_way -= 1
                self.statuses.append(status)

    def _ask_once(self) -> int | str:
        client = HTTPClient(self.url)
        # A busy machine may take long for a hundred requests at once.
        client.connection.timeout = 120
        try:
            return self.ask(client)
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        finally:
            client.connection.close()

    def wait_for_more(self, count: int) -> None:
        """Wait until `count` more requests have finished."""
        goal = len(self.statuses) + count
        pause = threading.Event()
        for _turn in range(12_000):
            if len(self.statuses) >= goal:
                return
            pause.wait(0.01)
        raise AssertionError(f"only {len(self.statuses)} answers")

    def end(self) -> set[int | str]:
        """Stop; returns all statuses."""
        self._over.set()
        for thread in self._threads:
            thread.join(60)
        return set(self.statuses)


def _read_page(client: HTTPClient) -> int:
    return client.get("/sign-in").status


def _ask_for_link(client: HTTPClient) -> int:
    """Submit a form, which a proxy must not repeat."""
    client.cookies["gatehouse_csrf"] = "c" * 32
    email = f"nobody-{os.urandom(4).hex()}@example.com"
    return client.post("/magic-link", {"email": email}).status


def _sign_in(client: HTTPClient) -> int:
    """Submit a form with a password, which takes long because of the hash."""
    client.cookies["gatehouse_csrf"] = "c" * 32
    fields = {"login": f"nobody-{os.urandom(4).hex()}@example.com", "password": "no such word"}
    return client.post("/sign-in", fields).status


@pytest.mark.parametrize(
    ("ask", "status"), [(_read_page, 200), (_ask_for_link, 200)], ids=["reading", "posting"]
)
def test_replacing_a_node_under_load_fails_no_request(
    nodes: Gatehouse, proxy: int, tmp_path: Path, ask: Callable[[HTTPClient], int], status: int
) -> None:
    crowd = Crowd(f"http://127.0.0.1:{proxy}", ask)
    try:
        crowd.wait_for_more(IN_FLIGHT)
        assert crowd.under_way > IN_FLIGHT * 0.8
        nodes.processes[0].process.terminate()
        code = nodes.processes[0].process.wait(60)
        crowd.wait_for_more(IN_FLIGHT)
        nodes.processes[0] = nodes._start(nodes.ports[0], tmp_path, nodes.hosts[0])
        nodes.processes[0].wait_until(lambda: is_live(nodes.ports[0]))
        crowd.wait_for_more(IN_FLIGHT)
    finally:
        statuses = crowd.end()

    assert code == 0
    assert statuses == {status}


def test_a_stopping_node_finishes_started_requests(nodes: Gatehouse) -> None:
    clients = [nodes.client() for _one in range(12)]
    with ThreadPoolExecutor(len(clients)) as pool:
        answers = [pool.submit(_sign_in, client) for client in clients]
        # The server hashes or has hashed the password of each.
        assert wait_for(lambda: _hashes(nodes) >= len(clients))
        nodes.processes[0].process.terminate()
        statuses = [answer.result(60) for answer in answers]

    assert statuses == [401] * len(clients)
    assert nodes.processes[0].process.wait(60) == 0


def test_a_node_can_be_stopped_while_a_worker_starts(
    gatehouse_server: StartGatehouse, sqlite_data: InstanceData
) -> None:
    node = gatehouse_server(sqlite_data, WEB_WORKERS="2").processes[0]
    before = set(node.children())
    os.kill(min(before), signal.SIGKILL)
    # Terminate at once, while the new worker is loading.
    while not set(node.children()) - before:
        assert node.process.poll() is None
    node.process.terminate()

    assert node.process.wait(WITHOUT_END) == 0


def test_an_endless_request_does_not_block_the_stop(
    sqlite_data: InstanceData, tmp_path: Path
) -> None:
    port = free_port()
    environment = sqlite_data.environment(HOST="127.0.0.1", PORT=str(port))
    node = QuickServer(IMPATIENT, tmp_path / "node.log", environment, warmed)
    try:
        node.wait_until(lambda: is_live(port))
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(b"GET /sign-in HTTP/1.1\r\nHost: ")
            # A later request has been answered.
            assert is_live(port)
            node.process.terminate()

            assert node.process.wait(WITHOUT_END) == 0
    finally:
        node.stop()


def _hashes(nodes: Gatehouse) -> float:
    """Password hashes of the first node: waiting, running and done."""
    values = samples(nodes.client().get("/metrics").text)
    names = ("hashes_waiting", "hashes_running", "hashes_total")
    return sum(values.get((f"gatehouse_password_{name}", ()), 0) for name in names)
