"""`manage.py movedata`: all rows arrive, none twice, and every loss is reported."""

import re
import signal
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devtools.servers.databases import InstanceData, PostgresServer
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.quick import warmed
from tests.operations.instance_data import GO_ON, VERIFY, fill, look


@pytest.fixture
def empty_postgres(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of a database without tables."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


def _over(data: InstanceData, kind: str, url: str) -> InstanceData:
    """The same DATA_DIR with another database."""
    return replace(data, kind=kind, url=url)


def test_all_data_moves_to_postgresql_and_back(
    sqlite_data: InstanceData, empty_postgres: str, tmp_path: Path
) -> None:
    fill(sqlite_data)
    before = look(sqlite_data)
    there = _over(sqlite_data, "postgres", empty_postgres)
    back = _over(sqlite_data, "sqlite", f"sqlite:///{tmp_path / 'back.sqlite3'}")

    out = sqlite_data.manage("movedata", "--to", empty_postgres)

    assert (out.returncode, out.stderr) == (0, "")
    assert f"DATABASE_URL={empty_postgres}" in out.stdout
    assert "The audit log is intact: 20 rows." in out.stdout
    assert look(there) == before
    assert look(sqlite_data) == before
    home = there.manage("movedata", "--to", back.url)
    assert (home.returncode, home.stderr) == (0, "")
    assert look(back) == before
    # Keys that count up go on behind the last one, and moments of whole seconds are found.
    assert there.shell(GO_ON) == [21, None]
    assert back.shell(GO_ON) == [21, None]
    assert (
        back.shell(
            "from accounts.models import User; u = User.objects.earliest('pk');"
            "result = User.objects.filter(created_at=u.created_at).count()"
        )
        == 50
    )


def test_a_target_that_is_not_empty_is_refused(
    sqlite_data: InstanceData, postgres_data: InstanceData
) -> None:
    before = look(postgres_data)

    done = sqlite_data.manage("movedata", "--to", postgres_data.url)

    assert done.returncode == 1
    assert re.search(r"The new database is not empty: it holds \d+ tables", done.stderr)
    assert look(postgres_data) == before


def test_the_database_in_use_is_rejected_as_target(any_data: InstanceData) -> None:
    done = any_data.manage("movedata", "--to", any_data.url)

    assert done.returncode == 1
    assert "--to names the database that is in use." in done.stderr


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://root:hunter2@db/x", "is neither a postgres:// nor a sqlite:// URL"),
        ("postgresql://u:hunter2@127.0.0.1:1/x", "PostgreSQL refuses the connection"),
    ],
)
def test_a_target_that_cannot_be_reached_is_named_without_its_password(
    sqlite_data: InstanceData, url: str, said: str
) -> None:
    done = sqlite_data.manage("movedata", "--to", url)

    assert done.returncode == 1
    assert said in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_nothing_moves_under_a_running_server(
    any_data: InstanceData, gatehouse_server: Callable[..., Gatehouse], tmp_path: Path
) -> None:
    gatehouse_server(any_data)

    done = any_data.manage("movedata", "--to", f"sqlite:///{tmp_path / 'new.sqlite3'}")

    assert done.returncode == 1
    assert "Stop the server" in done.stderr
    assert not (tmp_path / "new.sqlite3").exists()


def test_nothing_moves_while_the_source_is_written(
    sqlite_data: InstanceData, empty_postgres: str
) -> None:
    writer = sqlite3.connect(sqlite_data.data_dir / "gatehouse.sqlite3", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        done = sqlite_data.manage("movedata", "--to", empty_postgres)
    finally:
        writer.close()

    assert done.returncode == 1
    assert "Another program is writing to the database." in done.stderr


KILLED = """
import os, sys
import django
django.setup()
from django.core.management import call_command
from operations import adapters, transfer
adapters.BATCH = 7
save = transfer.Transfer._save
count = [0]
def save_and_die(self, name, progress):
    count[0] += name == "accounts_user"
    if count[0] == 4:
        os.kill(os.getpid(), 9)
    save(self, name, progress)
transfer.Transfer._save = save_and_die
call_command("movedata", to=sys.argv[1])
"""


def _killed_move(data: InstanceData, url: str) -> None:
    """A move that ends in the fourth batch of people, after its rows and before its note."""
    done = warmed.run(KILLED, url, environment=data.environment())
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_killed_move_is_resumed(sqlite_data: InstanceData, empty_postgres: str) -> None:
    source, url = sqlite_data, empty_postgres
    fill(source)
    before = look(source)
    _killed_move(source, url)
    target = _over(source, "postgres", url)
    assert target.shell("from accounts.models import User; result = User.objects.count()") == 21
    assert target.manage("serve", "--prepare-only").returncode == 1

    done = source.manage("movedata", "--to", url)

    assert (done.returncode, done.stderr) == (0, "")
    assert look(target) == before
    assert target.shell(VERIFY) == [20, None]
    assert target.manage("serve", "--prepare-only").returncode == 0


AUDITED = "from audit import audit_log; audit_log.record('account:user:change'); result = None"
UNSEEN = """
from accounts.models import User
User.objects.filter(pk=User.objects.order_by("pk")[3].pk).update(name="other")
result = None
"""


@pytest.mark.parametrize("change", [AUDITED, UNSEEN], ids=["audited", "unseen"])
def test_a_change_between_two_runs_is_noticed(
    sqlite_data: InstanceData, empty_postgres: str, change: str
) -> None:
    fill(sqlite_data)
    _killed_move(sqlite_data, empty_postgres)
    sqlite_data.shell(change)

    done = sqlite_data.manage("movedata", "--to", empty_postgres)

    assert done.returncode == 1
    assert "The old database has changed since this transfer began" in done.stderr


def test_a_changed_audit_log_is_rejected(sqlite_data: InstanceData, empty_postgres: str) -> None:
    fill(sqlite_data)
    sqlite_data.shell(
        "from audit.models import AuditEvent;"
        "AuditEvent.objects.filter(seq=7).update(action='x'); result = None"
    )

    done = sqlite_data.manage("movedata", "--to", empty_postgres)

    assert done.returncode == 1
    assert "The audit log is broken at row 7" in done.stderr
