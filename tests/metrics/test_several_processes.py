"""A real server of several processes gives one sum, whichever process is asked."""

import threading
from collections.abc import Callable

from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from tests.metrics.scraped import samples

CHECKS = "gatehouse_checks_total"


def test_all_processes_of_a_server_are_counted_together(
    gatehouse_server: Callable[..., Gatehouse], sqlite_data: InstanceData
) -> None:
    server = gatehouse_server(sqlite_data, WEB_WORKERS="3")

    def ask() -> None:
        for _time in range(10):
            assert server.client().get("/auth/check").status == 401

    threads = [threading.Thread(target=ask) for _thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [_checks(server) for _time in range(8)] == [40] * 8


def _checks(server: Gatehouse) -> float:
    """Of either way: a process answers its first refusal by Django, and the next ones itself."""
    values = samples(server.client().get("/metrics").text)
    return sum(value for (name, _labels), value in values.items() if name == CHECKS)
