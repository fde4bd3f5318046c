"""Gatehouse as real server processes, one or several with the same database."""

import http.client
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from devtools.servers.client import HTTPClient
from devtools.servers.databases import InstanceData
from devtools.servers.processes import ServerProcess, free_port
from devtools.servers.quick import QuickServer, warmed

# The part of `manage.py serve` after the preparation.
SERVE = (
    "import django; django.setup(); from config.server.processes import run_server; run_server()"
)


class Gatehouse:
    """A running instance. url: its public address. urls: the address of each process.

    hosts: a DATA_DIR for each process, as if each ran on another machine; empty: all share one.
    """

    def __init__(
        self,
        data: InstanceData,
        folder: Path,
        processes: int,
        environment: dict[str, str],
        hosts: Sequence[Path] = (),
    ) -> None:
        self.data = data
        self.hosts = hosts or [data.data_dir] * processes
        self.ports = [free_port() for _host in self.hosts]
        self.environment = {"PUBLIC_URL": self.urls[0], **environment}
        self.processes: list[ServerProcess] = []
        try:
            for port, host in zip(self.ports, self.hosts, strict=True):
                self.processes.append(self._start(port, folder, host))
            for port, process in zip(self.ports, self.processes, strict=True):
                process.wait_until(partial(is_live, port))
        except BaseException:
            self.stop()
            raise

    def _start(self, port: int, folder: Path, host: Path) -> ServerProcess:
        own = {"HOST": "127.0.0.1", "PORT": str(port), "DATA_DIR": str(host)}
        environment = self.data.environment(**own, **self.environment)
        return QuickServer(SERVE, folder / f"gatehouse-{port}.log", environment, warmed)

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    @property
    def url(self) -> str:
        return self.urls[0]

    def client(self, process: int = 0) -> HTTPClient:
        """A new client of one process. Get a page first, which sets the CSRF cookie."""
        return HTTPClient(self.urls[process])

    def output(self) -> str:
        """The logs of all processes."""
        return "".join(process.output() for process in self.processes)

    def stop(self) -> None:
        for process in self.processes:
            process.stop()


def is_live(port: int) -> bool:
    """Does /health/live respond with 200?"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
