"""Idle keep-alive connections do not block other clients."""

import http.client
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from devtools.servers import gatehouse
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse

IDLE = 40
SILENT, SOFT = 1500, 1024
# The limit of a usual shell for the server; the clients below need more.
SERVE_WITH_FEW = f"""
import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, ({SOFT}, hard))
{gatehouse.SERVE}
"""


def test_idle_connections_block_no_client(
    gatehouse_server: Callable[..., Gatehouse], sqlite_data: InstanceData
) -> None:
    server = gatehouse_server(sqlite_data, WEB_THREADS="2")
    connections = [
        http.client.HTTPConnection("127.0.0.1", server.ports[0], timeout=5) for _ in range(IDLE)
    ]
    statuses = []
    for connection in connections:  # each stays open after its answer
        connection.request("GET", "/health/live")
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)

    assert statuses == [200] * IDLE
    assert all(connection.sock is not None for connection in connections)
    for connection in connections:
        connection.close()


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Raise the limit of this process, which holds the clients, to the hard limit."""
    bound = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (bound[1], bound[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, bound)


@pytest.mark.usefixtures("many_descriptors")
def test_a_low_limit_of_open_files_is_raised(
    gatehouse_server: Callable[..., Gatehouse],
    sqlite_data: InstanceData,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gatehouse, "SERVE", SERVE_WITH_FEW)
    server = gatehouse_server(sqlite_data, WEB_WORKERS="1")
    (worker,) = server.processes[0].children()
    address = ("127.0.0.1", server.ports[0])
    with ExitStack() as silent:
        for _ in range(SILENT):
            silent.enter_context(socket.create_connection(address, timeout=5))
        client = http.client.HTTPConnection(*address, timeout=20)
        client.request("GET", "/health/live")
        status = client.getresponse().status
        client.close()
        held = len(list(Path(f"/proc/{worker}/fd").iterdir()))

    assert status == 200
    assert held > SILENT
