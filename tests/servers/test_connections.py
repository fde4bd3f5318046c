"""Browsers that keep their connection open take nobody's place."""

import http.client
from collections.abc import Callable

from tests.servers.databases import InstanceData
from tests.servers.gatehouse import Gatehouse

IDLE = 40


def test_idle_connections_keep_nobody_out(
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
