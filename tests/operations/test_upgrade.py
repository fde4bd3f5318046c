"""`manage.py upgrade` goes back by itself, loses nothing, and takes data of each release along."""

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import ROOT
from devtools.servers.quick import QuickPipes, warmed
from tests.operations.instance_data import VERIFY, fill, look
from tests.operations.test_prepare import HOLD

WITH_BROKEN_APP = {"DJANGO_SETTINGS_MODULE": "tests.operations.broken_settings"}
TESTS = [
    "the end of the audit log",
    "readiness",
    "the sign-in page",
    "a sign-in",
    "the key set",
    "a check of forward auth",
    "doctor",
]
APPLIED = "applied broken_app.0001_notes\n"
MIGRATIONS = (
    "from django.db import connection as c; from django.db.migrations.recorder import *;"
    "result = sorted('.'.join(key) for key in MigrationRecorder(c).applied_migrations())"
)
TABLES = "from django.db import connection as c; result = sorted(c.introspection.table_names())"


def _state(data: InstanceData) -> list[object]:
    """Every row of every table, also those that no model knows."""
    return [look(data), data.shell(MIGRATIONS), data.shell(TABLES)]


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("migration", "RuntimeError: the column is too narrow."),
        ("result", "the end of the audit log (AssertionError: row 20 has been changed)."),
    ],
)
def test_an_upgrade_that_fails_goes_back_by_itself(
    any_data: InstanceData, how: str, reason: str
) -> None:
    fill(any_data)
    before = _state(any_data)

    done = any_data.manage("upgrade", BROKEN=how, **WITH_BROKEN_APP)

    assert done.returncode == 1
    (file,) = (any_data.data_dir / "backups").iterdir()
    assert f"1 of 3. Backup: {file}\n2 of 3. Migrations: 2\n{APPLIED}" in done.stdout
    assert f"The upgrade failed: {reason}\nGoing back to the backup.\n" in done.stdout
    said = f"The upgrade failed: {reason} The data is as it was before, and nothing was revoked."
    assert said in done.stderr
    assert f"The backup stays: {file}" in done.stderr
    assert "Traceback" not in done.stderr
    assert _state(any_data) == before
    assert any_data.shell(VERIFY) == [20, None]
    assert not list(any_data.data_dir.glob("before-restore-*"))
    assert not list(any_data.data_dir.glob(".put-back-*"))
    # The old code starts, and revokes nothing: a restore would have.
    assert any_data.manage("upgrade").stdout == "The database is up to date already.\n"
    assert look(any_data) == before[0]


def test_an_upgrade_that_works_is_tested_and_leaves_nothing_of_the_tests(
    any_data: InstanceData,
) -> None:
    """Also where passwords are off, and where doctor names an error that was there before."""
    fill(any_data)
    count = (
        "from accounts.models import *; from audit.models import *; from magiclinks.models import *"
        "; result = [m.objects.count() for m in (User, AuditEvent, LoginLink, BrowserSession)]"
    )
    any_data.shell("from accounts.models import *; result = User.objects.update(role='viewer')")
    before = any_data.shell(count)
    settings = {"ALLOW_EMAIL_LOGIN": "false", "MFA_REQUIRED_ROLES": "owner,admin"}

    done = any_data.manage("upgrade", BROKEN="nothing", **settings, **WITH_BROKEN_APP)

    assert (done.returncode, done.stderr) == (0, "")
    assert f"{APPLIED}applied broken_app.0002_break\n3 of 3. Tests\n" in done.stdout
    lines = done.stdout.splitlines()
    assert [line.partition(" (")[0] for line in lines if line.startswith(("passed", "FAILED"))] == [
        f"passed: {name}" for name in TESTS
    ]
    assert "passed: a sign-in (answered 200)" in lines
    assert "The upgrade is complete. Start the server." in lines
    # The migration of the app has ended the sessions.
    assert any_data.shell(count) == [*before[:3], 0]
    assert "There is no active owner." in any_data.manage("doctor").stdout


def test_beside_a_running_server_nothing_is_done(
    sqlite_data: InstanceData, gatehouse_server: Callable[..., Gatehouse]
) -> None:
    """It would lose what the server writes after the backup."""
    gatehouse_server(sqlite_data)

    done = sqlite_data.manage("upgrade", BROKEN="nothing", **WITH_BROKEN_APP)

    assert done.returncode == 1
    assert "A Gatehouse server uses this data. Stop the server" in done.stderr
    assert "`manage.py serve --prepare-only`: it does not go back by itself." in done.stderr
    assert not (sqlite_data.data_dir / "backups").exists()
    assert "broken_app.0001_notes" not in sqlite_data.shell(MIGRATIONS)


def test_beside_another_upgrade_nothing_is_done(sqlite_data: InstanceData) -> None:
    environment = sqlite_data.environment()
    with QuickPipes(HOLD, environment=environment, start=warmed) as held:
        assert held.stdout.readline() == "held\n", held.errors()
        done = sqlite_data.manage("upgrade", BROKEN="nothing", **WITH_BROKEN_APP)
        held.say("")

    assert done.returncode == 1
    assert "Another process is upgrading the database. Nothing was done" in done.stderr
    assert not (sqlite_data.data_dir / "backups").exists()


def test_no_server_starts_while_it_works(sqlite_data: InstanceData) -> None:
    """A server that waits for the upgrade takes no request before it is known to work."""
    held = (
        "import sys, django; django.setup()\n"
        "from operations.locks import stopped\n"
        "with stopped():\n    print('held', flush=True); sys.stdin.readline()\n"
    )
    taken = (
        "import django; django.setup()\nfrom operations.locks import serving\n"
        "with serving():\n    print('serving', flush=True)\n"
    )
    environment = sqlite_data.environment()
    with QuickPipes(held, environment=environment, start=warmed) as upgrade:
        assert upgrade.stdout.readline() == "held\n", upgrade.errors()
        refused = sqlite_data.manage("restore", "/nowhere.tar", "--yes")
        with QuickPipes(taken, environment=environment, start=warmed) as server:
            upgrade.say("")
            assert server.stdout.readline() == "serving\n", server.errors()
    assert refused.returncode == 1


def test_when_going_back_fails_too_it_says_what_to_do(sqlite_data: InstanceData) -> None:
    fill(sqlite_data)

    done = sqlite_data.manage("upgrade", BROKEN="backup", **WITH_BROKEN_APP)

    assert done.returncode == 1
    assert "The upgrade failed (RuntimeError: the column is too narrow.)" in done.stderr
    assert "and going back failed too (" in done.stderr
    assert "is not a backup" in done.stderr
    assert "start no server." in done.stderr


def test_an_upgrade_that_is_told_to_end_goes_back(sqlite_data: InstanceData) -> None:
    before = _state(sqlite_data)

    done = sqlite_data.manage("upgrade", BROKEN="signal", **WITH_BROKEN_APP)

    assert done.returncode == 1
    assert "The upgrade failed: it was interrupted. The data is as it was before" in done.stderr
    assert _state(sqlite_data) == before


def test_a_migration_that_leaves_no_owner_is_taken_back(sqlite_data: InstanceData) -> None:
    fill(sqlite_data)

    done = sqlite_data.manage("upgrade", BROKEN="owners", **WITH_BROKEN_APP)

    assert done.returncode == 1
    assert "FAILED: doctor (new errors: 1)" in done.stdout
    assert "The upgrade failed: There is no active owner." in done.stderr
    active = (
        "from accounts.models import User; result = User.objects.filter(is_active=True).count()"
    )
    assert sqlite_data.shell(active) == 50


# Releases


def _git(*arguments: str) -> bytes:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout


def releases() -> list[str]:
    """The tags of this repository, oldest first; none in a copy without its history."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return []
    return _git("tag", "--list", "v*", "--sort=version:refname").decode().split()


def unpack(revision: str, folder: Path) -> Path:
    """The code of a revision."""
    with tarfile.open(fileobj=BytesIO(_git("archive", revision))) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a copy without its history")
def test_the_code_of_a_revision_is_unpacked(tmp_path: Path) -> None:
    assert (unpack("HEAD", tmp_path) / "manage.py").is_file()


def _run_release(code: Path, data: InstanceData, *command: str) -> None:
    """`manage.py command` of that code."""
    if code == ROOT:
        assert data.manage(*command).returncode == 0
        return
    environment = data.environment(PYTHONPATH=str(code))
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=code, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def upgrade_from(code: Path, data: InstanceData) -> None:
    """What this code has made works with the present one: people, roles, keys, the audit log."""
    _run_release(code, data, "serve", "--prepare-only")
    people = {"anna@example.com": "owner", "ben@example.com": "viewer"}
    for email, role in people.items():
        _run_release(code, data, "createuser", email, "--role", role)
    _run_release(code, data, "apikey", "create", "anna@example.com", "nightly")

    done = data.manage("upgrade")

    assert (done.returncode, done.stderr) == (0, "")
    found = data.shell(
        "from accounts.models import User; from api.models import ApiKey; from audit import *\n"
        "u = User.objects.filter(email__endswith='@example.com')\n"
        "result = [dict(u.values_list('email', 'role')), list(ApiKey.objects.values_list('name')),"
        " audit_log.verify().broken_at]"
    )
    assert found == [people, [["nightly"]], None]
    assert data.manage("magiclink", "ben@example.com").returncode == 0


@pytest.mark.parametrize("tag", releases())
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_data_of_each_release_is_taken_along(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, tag: str
) -> None:
    data = InstanceData(kind, f"sqlite:///{tmp_path / 'gatehouse.sqlite3'}", tmp_path / "data")
    if kind == "postgres":
        server = request.getfixturevalue("postgres_server")
        data = InstanceData(kind, server.url(server.create_database()), tmp_path / "data")

    upgrade_from(unpack(tag, tmp_path / "code"), data)


def test_the_way_that_takes_releases_along_works_with_the_present_code(
    sqlite_data: InstanceData,
) -> None:
    """So that it is known to work before there is a first release."""
    upgrade_from(ROOT, sqlite_data)
