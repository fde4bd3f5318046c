"""PostgreSQL restarts or vanishes during checks: no wrong decision, few late ones."""

import dataclasses
import json
import threading
from collections import Counter

import pytest

from devtools.servers.client import HTTPClient
from devtools.servers.databases import InstanceData, PostgresServer
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import wait_for
from tests.forward_auth.driver import Driver
from tests.forward_auth.relay import Relay
from tests.servers.fixtures import StartGatehouse

CHECK_PATHS = {"X-Original-URL": "https://app.example.com/board", "X-Original-Method": "GET"}
THREADS = 4
PATHS = ["/auth/check", "/auth/forward"]
OFFERS = """
result = [offer(person(name), kind) for name, kind in
          (("good", "key"), ("session", "session"), ("bad", "key"))]
ApiKey.objects.filter(user__username="bad").update(revoked_at=now())
"""


class _Asking:
    """Clients that send one request after the other until stop(); counts the responses.

    told: (right status, status, was the server there from the question to the answer?).
    """

    def __init__(self, gatehouse: Gatehouse, offers: list[dict[str, str]]) -> None:
        self.counts: Counter[tuple[int, int, bool]] = Counter()
        self.is_back, self.stops, self._is_over = False, 0, False
        self._lock, self._may_ask, self._idle = threading.Lock(), threading.Event(), 0
        self._may_ask.set()
        self._asked = list(zip(offers, (204, 204, 401), strict=True))
        self._threads = [
            threading.Thread(target=self._run, args=(gatehouse.client(), PATHS[number % 2]))
            for number in range(2 * THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, client: HTTPClient, path: str) -> None:
        while not self._is_over:
            with self._lock:
                self._idle += 1
            self._may_ask.wait()
            with self._lock:
                self._idle -= 1
            for offer, right in self._asked:
                was_back, stops = self.is_back, self.stops
                status = client.get(path, {**CHECK_PATHS, **offer}).status
                with self._lock:
                    self.counts[right, status, was_back and self.stops == stops] += 1

    def wait_for_more(self, number: int) -> None:
        wanted = self.counts.total() + number
        assert wait_for(lambda: self.counts.total() >= wanted, 60)

    def pause(self) -> None:
        """Returns when all clients have stopped."""
        self._may_ask.clear()
        assert wait_for(lambda: self._idle == len(self._threads), 60)

    def go_on(self) -> None:
        self._may_ask.set()

    def stop(self) -> None:
        self._is_over = True
        self.go_on()
        for thread in self._threads:
            thread.join()


def test_a_database_restart_causes_no_wrong_decision(
    postgres_data: InstanceData, postgres_server: PostgresServer, gatehouse_server: StartGatehouse
) -> None:
    gatehouse = gatehouse_server(postgres_data, WEB_THREADS=str(THREADS))
    with Driver(postgres_data, **gatehouse.environment) as driver:
        offers = driver(OFFERS)
    asking = _Asking(gatehouse, offers)
    try:
        for is_asked_meanwhile in (True, False, True, False):
            asking.is_back = False
            asking.wait_for_more(200)
            if not is_asked_meanwhile:
                asking.pause()
            asking.stops += 1
            postgres_server.halt()
            if is_asked_meanwhile:
                asking.wait_for_more(50)
            postgres_server.start()
            asking.is_back = True
            asking.go_on()
            asking.wait_for_more(200)
    finally:
        asking.stop()

    counts = asking.counts
    wrong = {key for key in counts if key[1] not in (key[0], 503)}
    late = {key for key in counts if key[1] == 503 and key[2]}
    assert (wrong, late) == (set(), set())
    assert min(counts[204, 204, True], counts[401, 401, True]) > 100
    assert counts[204, 503, False] > 0


def test_a_credential_revoked_right_after_a_restart_is_rejected(
    postgres_data: InstanceData, postgres_server: PostgresServer, gatehouse_server: StartGatehouse
) -> None:
    gatehouse = gatehouse_server(postgres_data)
    client = gatehouse.client()
    with Driver(postgres_data, **gatehouse.environment) as driver:
        offer = driver(OFFERS)[0]
    before = [client.get("/auth/check", {**CHECK_PATHS, **offer}).status for _again in "123"]
    postgres_server.halt()
    postgres_server.start()
    with Driver(postgres_data, **gatehouse.environment) as driver:
        driver("ApiKey.objects.update(revoked_at=now())")

    assert before == [204] * 3
    assert client.get("/auth/check", {**CHECK_PATHS, **offer}).status == 401


@pytest.fixture
def behind_relay(
    postgres_data: InstanceData, postgres_server: PostgresServer
) -> tuple[Relay, InstanceData]:
    relay = Relay(postgres_server.port)
    url = postgres_data.url.replace(f":{postgres_server.port}/", f":{relay.port}/")
    return relay, dataclasses.replace(postgres_data, url=url)


def test_a_silent_database_delays_no_check_for_long(
    behind_relay: tuple[Relay, InstanceData], gatehouse_server: StartGatehouse
) -> None:
    """The client waits for half a minute and fails then."""
    relay, data = behind_relay
    gatehouse = gatehouse_server(data, WEB_THREADS="1")
    client = gatehouse.client()
    with Driver(data, **gatehouse.environment) as driver:
        offer = driver(OFFERS)[0]
    before = client.get("/auth/check", {**CHECK_PATHS, **offer}).status
    relay.fall_silent()
    assert wait_for(lambda: "listening has stopped" in gatehouse.output())
    silent = [client.get("/auth/check", {**CHECK_PATHS, **offer}).status for _again in "12"]
    relay.stop()

    assert (before, silent) == (204, [503, 503])


@pytest.mark.parametrize(
    ("query", "expected"),
    [("", [5, 10, 3, 3, 10_000]), ("?connect_timeout=2", ["2", 10, 3, 3, 10_000])],
)
def test_waiting_for_a_vanished_server_times_out(
    postgres_data: InstanceData, query: str, expected: list[object]
) -> None:
    data = dataclasses.replace(postgres_data, url=f"{postgres_data.url}{query}")
    counts = data.shell("""
from django.conf import settings
from django.db import connection
connection.ensure_connection()
result = settings.DATABASES["default"]["OPTIONS"], connection.connection.info.get_parameters()
""")
    options, used = counts
    names = ["connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count",
             "tcp_user_timeout"]  # fmt: skip

    assert [options[name] for name in names] == expected
    assert [used[name] for name in names] == list(map(str, expected))
    assert json.dumps(used).count("connect_timeout") == 1
