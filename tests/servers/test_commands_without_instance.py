"""Commands without an instance print one sentence and no traceback, and create nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.servers.databases import InstanceData, PostgresServer
from devtools.servers.processes import free_port

COMMANDS = [
    ("createuser", "a@example.com"),
    ("listusers",),
    ("setrole", "a@example.com", "viewer"),
    ("deleteuser", "a@example.com", "--yes"),
    ("disableuser", "a@example.com"),
    ("enableuser", "a@example.com"),
    ("inviteuser", "a@example.com"),
    ("resetmfa", "a@example.com", "--yes"),
    ("verifyaudit",),
    ("magiclink", "a@example.com"),
    ("apikey", "list"),
    ("listbans",),
    ("banuser", "a@example.com"),
    ("rotatekeys",),
    ("doctor",),
]


@pytest.fixture(params=["sqlite", "postgres"])
def nothing(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer
) -> Iterator[InstanceData]:
    """A folder and a database in which Gatehouse has never been started."""
    if request.param == "sqlite":
        yield InstanceData("sqlite", f"sqlite:///{tmp_path}/gatehouse.sqlite3", tmp_path)
        return
    name = postgres_server.create_database()
    yield InstanceData("postgres", postgres_server.url(name), tmp_path)
    postgres_server.drop_database(name)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_command_without_an_instance_prints_one_sentence(
    nothing: InstanceData, command: tuple[str, ...]
) -> None:
    done = nothing.manage(*command)

    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert said.count("There is no Gatehouse instance in ") == 1
    assert "Start one with `manage.py serve`, or set DATA_DIR or DATABASE_URL" in said
    assert "Traceback" not in said
    if command != ("doctor",):
        assert len(done.stderr.strip().splitlines()) == 1


def test_a_missing_database_prints_one_sentence(tmp_path: Path) -> None:
    port = free_port()
    url = f"postgres://u:hunter2@127.0.0.1:{port}/gate"

    done = InstanceData("postgres", url, tmp_path).manage("listusers")

    assert done.returncode == 1
    assert done.stderr == (
        f"DATABASE_URL: 127.0.0.1:{port} (database gate) does not answer. Start the database, or "
        "correct the address.\n"
    )


# Makes the database look like one of an earlier version.
OLDER = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("ALTER TABLE accounts_user DROP COLUMN role_locked")
    cursor.execute("DELETE FROM django_migrations WHERE app = 'magiclinks'")
"""


def test_an_outdated_database_prints_one_sentence(sqlite_data: InstanceData) -> None:
    sqlite_data.shell(OLDER)

    done = sqlite_data.manage("listusers")

    assert done.returncode == 1
    assert done.stderr.endswith(
        "is not up to date. Start `manage.py serve`, or run `manage.py migrate`.\n"
    )
    assert len(done.stderr.splitlines()) == 1


def test_the_traceback_can_be_requested(nothing: InstanceData) -> None:
    done = nothing.manage("listusers", "--traceback")

    assert "Traceback" in done.stderr


def test_a_database_error_in_an_existing_instance_is_raised(
    sqlite_data: InstanceData,
) -> None:
    sqlite_data.shell(
        "from django.db import connection\n"
        "connection.cursor().execute('ALTER TABLE accounts_user RENAME COLUMN name TO other')"
    )

    done = sqlite_data.manage("listusers")

    assert "no such column" in done.stderr
    assert "Gatehouse instance" not in done.stderr
