"""A real server of several processes gives one sum, whichever process is asked."""

import threading
from collections.abc import Callable

from tests.metrics.scraped import samples
from tests.servers.databases import InstanceData
from tests.servers.gatehouse import Gatehouse

CHECKS = ("gatehouse_checks_total", (("status", "401"), ("way", "long")))


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

    found = [samples(server.client().get("/metrics").text)[CHECKS] for _time in range(8)]
    assert found == [40] * 8
