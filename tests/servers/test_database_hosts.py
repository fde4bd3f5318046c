"""Several PostgreSQL servers in one DATABASE_URL, of which one is down or read-only."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from config.environment.parsing.databases import database_settings
from devtools.servers.databases import InstanceData, PostgresServer
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import free_port
from operations import postgres

WHERE = """
from django.db import connection
connection.ensure_connection()
result = connection.connection.info.port
"""


@pytest.fixture(scope="module")
def standby() -> Iterator[PostgresServer]:
    """A second server with read-only databases."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture
def both(
    postgres_data: InstanceData, postgres_server: PostgresServer, standby: PostgresServer
) -> Iterator[InstanceData]:
    """One URL with a closed port, a read-only server, and a writable server."""
    name = postgres_data.url.rpartition("/")[2]
    database = sql.Identifier(name)
    standby.execute(sql.SQL("CREATE DATABASE {}").format(database))
    standby.execute(
        sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(database)
    )
    places = [f"127.0.0.1:{port}" for port in (free_port(), standby.port, postgres_server.port)]
    url = f"postgresql://gatehouse@{','.join(places)}/{name}"
    yield InstanceData("postgres", url, postgres_data.data_dir)
    standby.drop_database(name)


def test_the_first_server_that_takes_writes_is_used(
    both: InstanceData, postgres_server: PostgresServer
) -> None:
    assert both.shell(WHERE) == postgres_server.port

    done = both.manage("createuser", "anna@example.com")

    assert done.returncode == 0, done.stderr
    name = both.url.rpartition("/")[2]
    found = postgres_server.execute(sql.SQL("SELECT email FROM accounts_user"), name)
    assert ("anna@example.com",) in found


def test_an_explicit_choice_of_the_administrator_is_kept(
    both: InstanceData, standby: PostgresServer
) -> None:
    data = InstanceData("postgres", f"{both.url}?target_session_attrs=any", both.data_dir)

    assert data.shell(WHERE) == standby.port


def test_postgresql_programs_use_the_same_server(
    both: InstanceData, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    place = database_settings(both.url, tmp_path)

    with postgres.connect(place) as connection:
        assert connection.info.port == postgres_server.port
    done = both.manage("backup", str(tmp_path / "backup.zip"))

    assert done.returncode == 0, done.stderr + done.stdout


def test_a_server_uses_the_next_host_after_a_failover(
    both: InstanceData,
    standby: PostgresServer,
    gatehouse_server: Callable[..., Gatehouse],
) -> None:
    """The writable server is named first; the other one takes over when it is down."""
    name = both.url.rpartition("/")[2]
    first = PostgresServer()
    try:
        first.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with psycopg.connect(first.url(name)) as connection:
            connection.execute("CREATE TABLE here (port int)")
        url = both.url.replace("gatehouse@", f"gatehouse@127.0.0.1:{first.port},")
        data = InstanceData("postgres", url, both.data_dir)
        assert data.shell(WHERE) == first.port

        first.halt()

        server = gatehouse_server(data)
        assert server.client().get("/health/ready").status == 200
    finally:
        first.stop()


def test_without_a_writable_server_every_host_is_named(
    both: InstanceData, standby: PostgresServer
) -> None:
    name = both.url.rpartition("/")[2]
    dead = free_port()
    url = f"postgresql://gatehouse@127.0.0.1:{dead},127.0.0.1:{standby.port}/{name}"
    data = InstanceData("postgres", url, both.data_dir)

    done = data.manage("doctor")

    assert done.returncode == 1
    places = f"127.0.0.1:{dead}, 127.0.0.1:{standby.port}"
    assert f"DATABASE_URL: {places} (database {name}) does not answer." in done.stdout
