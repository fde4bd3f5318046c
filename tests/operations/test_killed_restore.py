"""A restore killed at any step leaves the old or the new instance, never a mixture.

The instance that is there and the one in the backup have different keys and people. A process is
killed at its first step, a fresh one at its second, and so on until one survives.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from core.crypto.encryption_key import MISMATCH
from devtools.servers.databases import InstanceData, PostgresServer, Templates, copy_data
from tests.operations.instance_data import fill

ENCRYPT_VALUE = """
from core.crypto import encryption
from mail.models import OutboxMail
OutboxMail.objects.create(recipient="a@example.com", subject="s", kind="trial", status="sent",
    sealed_body=encryption.encrypt("text", "trial"))
result = None
"""
OPENS = """
from core.crypto import encryption
from mail.models import OutboxMail
result = [encryption.decrypt(m.sealed_body, "trial") for m in OutboxMail.objects.all()]
"""
WHAT_IS_THERE = f"""
from django.core.management import call_command
from accounts.models import User
{OPENS}
call_command("listusers")
result = [User.objects.count(), result]
"""
# Forks a process for each attempt; the audit hook sees each step before it is done.
KILLED = """
import json, os, shutil, signal, subprocess, sys
from pathlib import Path
import django
django.setup()
from django.conf import settings
from django.db import connections
from operations.backup.archive import read_manifest
from operations.backup.restore import RestoreOptions, restore
file, pristine, states, reset = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4]
STEPS = {"os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "shutil.copyfile",
    "shutil.rmtree", "subprocess.Popen", "sqlite3.connect"}
root = Path(settings.DATA_DIR)

def attempt(last):
    left = last
    def count(event, arguments):
        nonlocal left
        is_script = event == "open" and str(arguments[0]).endswith("data.sql")
        if event in STEPS or is_script:
            left -= 1
            if left == 0:
                os.write(1, f"{event}\\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
    restore(RestoreOptions(file), read_manifest(file), lambda _text: None)

def keep(source, target):
    # Static files, which are replaced and never written into, become hard links.
    (os.link if "/static/" in source else shutil.copy2)(source, target)

number = 0
while True:
    number += 1
    child = os.fork()
    if child == 0:
        try:
            attempt(number)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(2)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        sys.exit(os.WEXITSTATUS(status))
    exec(reset)
"""
KEEP_SQLITE = """
shutil.copytree(root, states / str(number), copy_function=keep)
shutil.rmtree(root)
shutil.copytree(pristine, root, copy_function=keep)
"""
KEEP_POSTGRES = """
import psycopg
connections.close_all()
from psycopg import sql
admin, name, template = json.loads(sys.argv[5])
with psycopg.connect(admin, autocommit=True) as server:
    # psql goes on without its parent until it sees the end of its script.
    busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    while server.execute(busy, [name]).fetchone() != (0,):
        pass
    kept, live = sql.Identifier(f"{name}_{number}"), sql.Identifier(name)
    server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(live, kept))
    server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(live, sql.Identifier(template)))
""" + KEEP_SQLITE.strip("\n")


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is not in DATA_DIR."""
    return tmp_path_factory.mktemp("outside")


def _backup_of_another(source: InstanceData, folder: Path) -> Path:
    """A backup of 50 people under a key of its own."""
    for secret in (source.data_dir / "secrets").iterdir():
        secret.unlink()
    source.shell("from core.crypto.encryption_key import forget_key; forget_key()")
    source.shell("from core.crypto.encryption_key import note_key; note_key()")
    fill(source)
    source.shell(ENCRYPT_VALUE)
    done = source.manage("backup", str(folder / "gatehouse.tar"))
    assert done.returncode == 0, done.stderr
    return folder / "gatehouse.tar"


def _is_new(data: InstanceData) -> bool:
    """Start over what a killed restore left; is it the restored instance? Whole, in any case."""
    done = data.manage("serve", "--prepare-only")
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(data.data_dir.glob(".restore-*"))
    people, texts = data.shell(WHAT_IS_THERE)
    assert people in (2, 50)  # the start makes an owner where there is none
    assert texts == ["text"]
    return people == 50


USER = "from accounts.models import User; User.objects.create(email='x@example.com'); result = 0"


def test_a_killed_restore_on_sqlite_leaves_the_old_or_the_new_data(
    sqlite_data: InstanceData, data_templates: Templates, outside: Path
) -> None:
    file = _backup_of_another(data_templates.fresh("sqlite", outside / "source"), outside)
    sqlite_data.shell(USER)
    sqlite_data.shell(ENCRYPT_VALUE)
    pristine, states = outside / "pristine", outside / "states"
    copy_data(sqlite_data.data_dir, pristine)
    said = sqlite_data.python(KILLED, str(file), str(pristine), str(states), KEEP_SQLITE)
    steps = _in_order(states)

    found = [_is_new(replace(sqlite_data, data_dir=step, url=_sqlite_url(step))) for step in steps]

    assert len(steps) == len(said.split()) > 20
    assert found == sorted(found)
    assert set(found) == {False, True}


def test_a_killed_restore_on_postgresql_leaves_the_old_or_the_new_data(
    postgres_data: InstanceData,
    postgres_server: PostgresServer,
    data_templates: Templates,
    outside: Path,
) -> None:
    source = data_templates.fresh("postgres", outside / "source", postgres_server)
    file = _backup_of_another(source, outside)
    postgres_server.drop_database(_name(source))
    postgres_data.shell(USER)
    postgres_data.shell(ENCRYPT_VALUE)
    pristine, states = outside / "pristine", outside / "states"
    copy_data(postgres_data.data_dir, pristine)
    name = _name(postgres_data)
    template = postgres_server.create_database(name)
    trial = json.dumps([postgres_server.url(), name, template])
    said = postgres_data.python(KILLED, str(file), str(pristine), str(states), KEEP_POSTGRES, trial)
    steps = _in_order(states)

    found = [
        _is_new(
            replace(postgres_data, data_dir=step, url=postgres_server.url(f"{name}_{step.name}"))
        )
        for step in steps
    ]

    assert len(steps) == len(said.split()) > 20
    assert "open" in said.split()  # killed while psql was in its transaction
    assert found == sorted(found)
    assert set(found) == {False, True}
    for made in (template, *(f"{name}_{step.name}" for step in steps)):
        postgres_server.drop_database(made)


def _in_order(states: Path) -> list[Path]:
    """What each killed restore left, by the step at which it was killed."""
    return sorted(states.iterdir(), key=lambda folder: int(folder.name))


def _sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'gatehouse.sqlite3'}"


def _name(data: InstanceData) -> str:
    """The database of PostgreSQL data."""
    return data.url.rpartition("/")[2]


def test_a_wrong_key_is_refused_and_nothing_is_changed(
    any_data: InstanceData,
) -> None:
    any_data.shell(ENCRYPT_VALUE)
    key = any_data.data_dir / "secrets" / "encryption_key"
    right = key.read_text()
    key.write_text("b" * 43 + "=\n")
    refused = [
        any_data.manage(*command)
        for command in (
            ["serve", "--prepare-only"],
            ["serve", "--checks-only"],
            ["upgrade"],
            ["backup", str(any_data.data_dir / "x.tar")],
            ["createuser", "anna@example.com"],
            ["upgrade", "--other-key"],
        )
    ]
    doctor = any_data.manage("doctor")

    for done in refused[:-1]:
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"CommandError: {MISMATCH}\n"
    assert "ERROR    ENCRYPTION_KEY is not the key that encrypted" in doctor.stdout
    assert doctor.returncode == 1
    assert "Add --yes" in refused[-1].stderr
    key.write_text(right)
    assert any_data.manage("serve", "--prepare-only").returncode == 0
    assert any_data.shell(OPENS) == ["text"]


def test_a_lost_key_can_be_given_up_explicitly(any_data: InstanceData) -> None:
    (any_data.data_dir / "secrets" / "encryption_key").unlink()
    refused = any_data.manage("serve", "--prepare-only")

    given_up = any_data.manage("upgrade", "--other-key", "--yes")

    assert "upgrade --other-key" in refused.stderr
    assert (given_up.returncode, given_up.stderr) == (0, "")
    assert any_data.manage("serve", "--prepare-only").returncode == 0
