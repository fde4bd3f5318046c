"""A node that reaches PostgreSQL through a pooler, where it cannot hear the others."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devtools.servers.databases import InstanceData, PostgresServer
from devtools.servers.processes import (
    ServerProcess,
    accepts_connections,
    free_port,
    program,
    wait_for,
)
from tests.forward_auth.driver import Driver
from tests.servers.fixtures import StartGatehouse

CHECK_PATHS = {"X-Original-URL": "https://app.example.com/board", "X-Original-Method": "GET"}
POOLER = """
[databases]
* = host=127.0.0.1 port={server} user=gatehouse
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
ignore_startup_parameters = extra_float_digits
"""


@pytest.fixture
def pooler(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], int]]:
    """pooler("transaction") -> the port of a PgBouncer in that mode."""
    running: list[ServerProcess] = []

    def start(mode: str) -> int:
        folder: Path = tmp_path_factory.mktemp("pooler")
        port = free_port()
        settings = POOLER.format(server=postgres_server.port, port=port, mode=mode)
        (folder / "pgbouncer.ini").write_text(settings)
        user = postgres_server.user
        if user:  # as root it does not start
            folder.chmod(0o755)
            for parent in folder.parents[:3]:
                parent.chmod(0o755)
        command = [program("pgbouncer"), *(["-u", user] if user else [])]
        command.append(str(folder / "pgbouncer.ini"))
        running.append(ServerProcess(command, folder / "log"))
        running[-1].wait_until(lambda: accepts_connections(port))
        return port

    yield start
    for process in running:
        process.stop()


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_revocation_by_another_node_applies_to_the_next_request(
    postgres_data: InstanceData,
    postgres_server: PostgresServer,
    gatehouse_server: StartGatehouse,
    pooler: Callable[[str], int],
    tmp_path_factory: pytest.TempPathFactory,
    mode: str,
) -> None:
    port = pooler(mode)
    url = postgres_data.url.replace(f":{postgres_server.port}/", f":{port}/")
    node = gatehouse_server(dataclasses.replace(postgres_data, url=url))
    # The driver has a DATA_DIR of its own: nothing but the database is common.
    elsewhere = dataclasses.replace(postgres_data, data_dir=tmp_path_factory.mktemp("elsewhere"))
    client = node.client()
    with Driver(elsewhere, **node.environment) as driver:
        assert wait_for(lambda: "a connection pooler stands before" in node.output())
        for number in range(5):
            offer = driver(f"user = person('p{number}'); result = offer(user, 'key')")
            before = [
                client.get("/auth/check", {**CHECK_PATHS, **offer}).status for _again in range(5)
            ]
            driver("ApiKey.objects.filter(user=user).update(revoked_at=now())")
            after = client.get("/auth/check", {**CHECK_PATHS, **offer}).status
            assert (before, after) == ([204] * 5, 401)
