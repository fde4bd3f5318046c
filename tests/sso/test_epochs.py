"""Whatever is taken away in one process is refused by the very next request of every other."""

import shutil
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path

import pytest
from psycopg import sql

from sso import listening
from tests.servers.client import HTTPClient
from tests.servers.databases import InstanceData, PostgresServer
from tests.servers.fixtures import StartGatehouse
from tests.servers.gatehouse import Gatehouse
from tests.servers.processes import wait_for
from tests.sso.driver import Driver

ROUNDS = 50
# Locked: the worker may just be writing refusals that name them.
NO_RULES = """
from accounts.locks import ROLES, house_lock
with transaction.atomic():
    house_lock(ROLES)
    AccessRule.objects.all().delete()
"""
MakeDriver = Callable[..., Driver]
ASKED = {"X-Original-URL": "https://app.example.com/board", "X-Original-Method": "POST"}
# What is done to whom: name, kind of credential, code, and what the next check answers.
ACTS: list[tuple[str, str, str, int]] = [
    ("revoke", "key", "ApiKey.objects.filter(user=user).update(revoked_at=now())", 401),
    ("ban", "key", "Ban.objects.create(user=user, kind='manual', created_at=now())", 403),
    ("ban", "session", "Ban.objects.create(user=user, kind='manual', created_at=now())", 401),
    ("disable", "token", "user.is_active = False; user.save()", 403),
    ("demote", "session", "User.objects.filter(pk=user.pk).update(role='viewer')", 403),
    ("sign out", "session", "BrowserSession.objects.filter(user_id=user.pk).delete()", 401),
    ("end tokens", "token", "TokenFamily.objects.update(ended_at=now())", 401),
    ("delete", "key", "user.delete()", 401),
    ("new password", "session", "user.set_password('some other words'); user.save()", 401),
    ("rule", "token", "AccessRule.objects.create(name='shut', effect='deny', path='/board')", 403),
    ("plain SQL", "key", """
with transaction.atomic(), connection.cursor() as cursor:
    cursor.execute("UPDATE accounts_user SET is_active = %s WHERE email = %s", [False, user.email])
""", 403),
]  # fmt: skip


@pytest.fixture
def drivers() -> Iterator[MakeDriver]:
    running: list[Driver] = []

    def make(data: InstanceData, gatehouse: Gatehouse) -> Driver:
        running.append(Driver(data, **gatehouse.environment))
        return running[-1]

    yield make
    for driver in running:
        driver.stop()


def _status(client: HTTPClient, offer: dict[str, str]) -> int:
    return client.get("/auth/check", {**ASKED, **offer}).status


def test_the_next_request_of_every_process_is_refused(
    any_data: InstanceData, gatehouse_server: StartGatehouse, drivers: MakeDriver
) -> None:
    gatehouse = gatehouse_server(any_data, processes=3)
    driver = drivers(any_data, gatehouse)
    clients = [gatehouse.client(number) for number in range(3)]

    for number, (name, kind, code, expected) in enumerate(islice(cycle(ACTS), ROUNDS)):
        driver(NO_RULES)
        offer = driver(f"user = person('p{number}'); result = offer(user, {kind!r})")
        before = [_status(client, offer) for _again in range(3) for client in clients]
        driver(code)
        after = [_status(client, offer) for client in clients]

        assert (name, before) == (name, [204] * 9)
        assert (name, after) == (name, [expected] * 3)


def test_what_is_rolled_back_changes_nothing(
    any_data: InstanceData, gatehouse_server: StartGatehouse, drivers: MakeDriver
) -> None:
    gatehouse = gatehouse_server(any_data)
    driver = drivers(any_data, gatehouse)
    offer = driver("user = person('p'); result = offer(user, 'key')")
    driver("""
with transaction.atomic():
    User.objects.filter(pk=user.pk).update(is_active=False)
    transaction.set_rollback(True)
""")

    assert _status(gatehouse.client(), offer) == 204


@pytest.fixture
def hosts(
    postgres_data: InstanceData,
    gatehouse_server: StartGatehouse,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[InstanceData, Gatehouse, Gatehouse]:
    """Two hosts over one PostgreSQL: each has a DATA_DIR of its own with the same secrets."""
    folder: Path = tmp_path_factory.mktemp("other-host")
    shutil.copytree(postgres_data.data_dir, folder, dirs_exist_ok=True)
    (folder / "epoch").unlink(missing_ok=True)
    other = InstanceData("postgres", postgres_data.url, folder)
    first = gatehouse_server(postgres_data)
    return postgres_data, first, gatehouse_server(other, PUBLIC_URL=first.url)


def test_another_host_hears_of_it(
    hosts: tuple[InstanceData, Gatehouse, Gatehouse], drivers: MakeDriver
) -> None:
    data, first, second = hosts
    driver, client = drivers(data, first), second.client()

    for number, (name, kind, code, expected) in enumerate(ACTS):
        driver(NO_RULES)
        offer = driver(f"user = person('p{number}'); result = offer(user, {kind!r})")
        assert wait_for(lambda offer=offer: _status(client, offer) == 204, 2)
        driver(code)

        assert wait_for(
            lambda offer=offer, expected=expected: _status(client, offer) == expected
        ), name


def test_another_host_refuses_though_it_has_gone_deaf(
    hosts: tuple[InstanceData, Gatehouse, Gatehouse],
    drivers: MakeDriver,
    postgres_server: PostgresServer,
) -> None:
    data, first, second = hosts
    driver, client = drivers(data, first), second.client()

    for number in range(10):
        offer = driver(f"user = person('p{number}'); result = offer(user, 'key')")
        assert [_status(client, offer) for _again in range(3)] == [204] * 3
        _cut_listeners(postgres_server)
        driver("ApiKey.objects.filter(user=user).update(revoked_at=now())")

        assert wait_for(lambda offer=offer: _status(client, offer) == 401)


def test_nothing_is_believed_for_longer_than_a_second_without_news() -> None:
    """How long it really takes is measured by `make bench ARGS=forward`."""
    assert listening.BEAT_SECONDS < listening.BELIEVED_SECONDS <= 1.0


def _cut_listeners(server: PostgresServer) -> None:
    server.execute(
        sql.SQL(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'gatehouse-epoch'"
        )
    )


def test_listeners_come_back(
    postgres_data: InstanceData, gatehouse_server: StartGatehouse, postgres_server: PostgresServer
) -> None:
    gatehouse_server(postgres_data, processes=2)
    count = sql.SQL(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gatehouse-epoch'"
        " AND datname = {}"
    ).format(sql.Literal(postgres_data.url.rpartition("/")[2]))

    def listeners() -> int:
        return int(postgres_server.execute(count)[0][0])

    assert wait_for(lambda: listeners() == 2, 5)
    _cut_listeners(postgres_server)
    assert wait_for(lambda: listeners() == 2, 5)
