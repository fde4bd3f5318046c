"""A server whose Redis is gone: people notice nothing, monitoring does."""

import json
import os
import signal
from collections.abc import Callable, Iterator

import pytest

from tests.servers.client import HTTPClient
from tests.servers.databases import InstanceData, RedisServer
from tests.servers.gatehouse import Gatehouse

DEGRADED = {
    "status": "degraded",
    "parts": {"database": "ok", "counters": "ok", "migrations": "ok", "cache": "unavailable"},
}
ONE_PERSON = """
from django.utils import timezone
from accounts.models import User
user = User(email="anna@example.com", role="owner", email_verified_at=timezone.now())
user.set_password("seven green bottles on a wall")
user.save()
result = str(user.pk)
"""
SIGN_IN = {"login": "anna@example.com", "password": "seven green bottles on a wall"}


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that a test may stop."""
    server = RedisServer()
    yield server
    server.stop()


def readiness(client: HTTPClient) -> tuple[int, dict[str, object]]:
    answer = client.get("/health/ready")
    return answer.status, json.loads(answer.text)


def test_a_server_whose_redis_stops_stays_ready_and_says_degraded(
    postgres_data: InstanceData,
    own_redis: RedisServer,
    gatehouse_server: Callable[..., Gatehouse],
) -> None:
    postgres_data.shell(ONE_PERSON)
    gatehouse = gatehouse_server(postgres_data, CACHE_URL=own_redis.url, LOGIN_MAX="2")
    client = gatehouse.client()
    status, body = readiness(client)
    assert (status, body["status"]) == (200, "ok")

    own_redis.process.stop()

    assert readiness(client) == (200, DEGRADED)
    client.get("/sign-in")
    assert client.post("/sign-in", SIGN_IN).status == 302
    assert client.get("/account/").status == 200
    stranger = gatehouse.client()
    stranger.get("/sign-in")
    wrong = {"login": "nobody@example.com", "password": "wrong"}
    assert [stranger.post("/sign-in", wrong).status for _ in range(3)] == [401, 401, 429]


def test_a_redis_that_hangs_does_not_hold_the_answer_back(
    sqlite_data: InstanceData,
    own_redis: RedisServer,
    gatehouse_server: Callable[..., Gatehouse],
) -> None:
    client = gatehouse_server(sqlite_data, CACHE_URL=own_redis.url).client()
    os.kill(own_redis.process.pid, signal.SIGSTOP)
    try:
        found = readiness(client)
    finally:
        os.kill(own_redis.process.pid, signal.SIGCONT)

    assert found == (200, DEGRADED)


def test_the_doctor_warns_of_a_redis_that_is_gone_and_is_content(
    sqlite_data: InstanceData, own_redis: RedisServer
) -> None:
    sqlite_data.shell(ONE_PERSON)
    own_redis.process.stop()

    done = sqlite_data.manage("doctor", CACHE_URL=own_redis.url)

    assert "WARNING  CACHE_URL: the cache does not answer." in done.stdout
    assert done.returncode == 0
