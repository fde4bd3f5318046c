"""Several nodes start at once with one empty database: it is migrated once."""

import json
import re
import tomllib
from pathlib import Path

import psycopg
import pytest

from core.version import VERSION, numbers
from devtools.servers.databases import MANAGE, InstanceData, PostgresServer
from devtools.servers.processes import ROOT
from devtools.servers.quick import QuickPipes, warmed

NODES = 4
# Everything is loaded; the referee's line on standard input is the barrier.
NODE = """
import json, sys
import django
django.setup()
from operations.upgrade.prepare import prepare
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps(prepare().migrations))
"""


@pytest.fixture(params=["sqlite", "postgres"])
def empty_data(request: pytest.FixtureRequest, tmp_path: Path) -> InstanceData:
    """A DATA_DIR with secrets, and a database without one table."""
    url = f"sqlite:///{tmp_path / 'gatehouse.sqlite3'}"
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.url(server.create_database())
    data = InstanceData(request.param, url, tmp_path)
    data.shell("result = None")
    return data


def _start(data: InstanceData) -> QuickPipes:
    node = QuickPipes(NODE, environment=data.environment(), start=warmed)
    assert node.stdout.readline() == "ready\n", node.errors()
    return node


def test_nodes_that_start_at_once_migrate_once(empty_data: InstanceData) -> None:
    nodes = [_start(empty_data) for _ in range(NODES)]
    for node in nodes:
        node.say("")
    said = [node.stdout.read() for node in nodes]
    for node in nodes:
        node.stop()

    applied = [json.loads(output.splitlines()[-1]) for output in said]
    assert [bool(names) for names in applied].count(True) == 1
    recorded = empty_data.shell(
        "from django.db import connection as c; from django.db.migrations.recorder import *;"
        "result = sorted('.'.join(key) for key in MigrationRecorder(c).applied_migrations())"
    )
    assert sorted(max(applied, key=len)) == recorded
    assert len(recorded) == len(set(recorded))


def test_an_upgrade_waits_for_the_one_that_runs_and_says_so(any_data: InstanceData) -> None:
    environment, command = any_data.environment(), ("upgrade", "--no-backup")
    with QuickPipes(HOLD, environment=environment, start=warmed) as held:
        assert held.stdout.readline() == "held\n", held.errors()
        with QuickPipes(MANAGE, *command, environment=environment, start=warmed) as waiting:
            first = waiting.stdout.readline()
            held.say("")
            rest = waiting.stdout.read()

    assert first == "Another process is upgrading the database; waiting for it.\n"
    assert rest == "The database is up to date already.\n"


HOLD = """
import sys
import django
django.setup()
from operations.locks import upgrade_lock
with upgrade_lock():
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_partly_moved_database_is_not_served(any_data: InstanceData) -> None:
    any_data.shell(
        "from django.db import connection as c;"
        "c.cursor().execute('CREATE TABLE gatehouse_move (name text)')"
    )

    done = any_data.manage("serve", "--prepare-only")

    assert done.returncode == 1
    assert "A transfer to this database was interrupted." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_migration_never_waits_long_for_a_table(postgres_data: InstanceData) -> None:
    back = postgres_data.manage("migrate", "magiclinks", "zero", "--verbosity=0")
    assert back.returncode == 0, back.stderr
    with psycopg.connect(postgres_data.url) as writer:
        writer.execute("LOCK TABLE accounts_user IN ROW EXCLUSIVE MODE")
        said, error = postgres_data.shell(IMPATIENT)
        readers = writer.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    applied, nothing = postgres_data.shell(IMPATIENT)

    assert said == ["A migration waits for a table that is in use; trying again."] * 2
    assert error.startswith("A table stayed in use")
    assert readers == (0,)
    assert (applied, nothing) == ([], None)
    assert postgres_data.shell(TABLES) == 1


IMPATIENT = """
from operations.upgrade import prepare
from operations.errors import OperationError
prepare.LOCK_WAIT, prepare.LOCK_TRIES = "200ms", 2
said, error = [], None
try:
    prepare.prepare(said.append)
except OperationError as problem:
    error = problem.message
result = [said, error]
"""
TABLES = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'magiclinks_loginlink'")
    (result,) = cursor.fetchone()
"""


def test_the_project_takes_its_version_from_the_code() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert "version" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"] == {"version": {"attr": "core.version.VERSION"}}
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    assert numbers("0.10.0") > numbers("0.9.3")
