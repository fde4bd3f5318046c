"""`manage.py upgrade` makes a backup, its rehearsal changes nothing."""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import sql

from devtools.servers.databases import InstanceData, PostgresServer
from devtools.servers.gatehouse import Gatehouse
from operations.upgrade.lock_analysis import effects
from tests.operations.instance_data import fill, look

OLDER = (("magiclinks", "zero"),)
CHECKS = [
    "the end of the audit log",
    "readiness",
    "the sign-in page",
    "a sign-in",
    "the key set",
    "a check of forward auth",
]


def _make_older(data: InstanceData) -> None:
    for app, name in OLDER:
        done = data.manage("migrate", app, name)
        assert done.returncode == 0, done.stderr


def _good(text: str) -> list[str]:
    return re.findall(r"passed: ([^(]+) \(", text)


def test_a_dry_run_migrates_a_copy_and_changes_nothing(any_data: InstanceData) -> None:
    fill(any_data)
    _make_older(any_data)
    files = sorted(path.name for path in any_data.data_dir.iterdir())

    done = any_data.manage("upgrade", "--rehearse")

    assert (done.returncode, done.stderr) == (0, "")
    waits = "stops writing to the whole file"
    if any_data.kind == "postgres":
        waits = "blocks nothing"
    line = rf"\d+\.\d\d s  magiclinks\.0001_initial: {waits}"
    assert re.search(line, done.stdout)
    assert _good(done.stdout) == CHECKS
    left = {path.name for path in any_data.data_dir.iterdir()} - {"upgrade.lock", "serving.lock"}
    assert sorted(left) == [name for name in files if not name.endswith((".lock", "-wal", "-shm"))]
    pending = any_data.manage("migrate", "--check")
    assert pending.returncode == 1


# The worker of the running server sends reminders of reviews, and reads on for notices by mail.
OF_WORKER = {"access_reviews_reviewreminder", "webhooks_noticechoice", "mail_outboxmail"}


def _without_work(found: dict[str, list[object]]) -> dict[str, list[object]]:
    return {table: content for table, content in found.items() if table not in OF_WORKER}


def test_a_dry_run_beside_a_running_server_leaves_no_copy(
    postgres_data: InstanceData,
    gatehouse_server: Callable[..., Gatehouse],
    postgres_server: PostgresServer,
) -> None:
    fill(postgres_data)
    before = look(postgres_data)
    gatehouse_server(postgres_data)

    done = postgres_data.manage("upgrade", "--rehearse")

    assert (done.returncode, done.stderr) == (0, "")
    assert "There are no migrations to apply." in done.stdout
    assert _good(done.stdout) == CHECKS
    assert _without_work(look(postgres_data)) == _without_work(before)
    assert not list(postgres_data.data_dir.glob("rehearsal-*"))
    copies = "SELECT datname FROM pg_database WHERE datname LIKE '%rehearsal%'"
    assert postgres_server.execute(sql.SQL(copies)) == []


def test_a_dry_run_reports_what_would_fail(sqlite_data: InstanceData) -> None:
    fill(sqlite_data)
    sqlite_data.shell(
        "from audit.models import AuditEvent;"
        "AuditEvent.objects.filter(seq=20).update(action='x'); result = None"
    )

    done = sqlite_data.manage("upgrade", "--rehearse")

    assert done.returncode == 1
    assert "FAILED: the end of the audit log (AssertionError: row 20 has been changed)" in (
        done.stdout
    )
    assert "Do not upgrade yet. Failed on the copy: the end of the audit log." in done.stderr


def test_an_upgrade_creates_a_backup_that_can_be_restored(
    sqlite_data: InstanceData,
) -> None:
    fill(sqlite_data)
    _make_older(sqlite_data)

    done = sqlite_data.manage("upgrade")

    assert done.returncode == 0, done.stderr
    (file,) = (sqlite_data.data_dir / "backups").iterdir()
    assert f"Backup: {file}" in done.stdout
    assert "applied magiclinks.0001_initial" in done.stdout
    back = sqlite_data.manage("restore", str(file), "--yes")
    assert back.returncode == 0, back.stderr
    # The data was older than this code, so it has been migrated, and all sessions have ended.
    assert "applied magiclinks.0001_initial" in back.stdout
    assert "50 users must sign in again." in back.stdout


def test_a_fresh_instance_needs_no_backup(tmp_path: Path) -> None:
    data = InstanceData("sqlite", f"sqlite:///{tmp_path / 'gatehouse.sqlite3'}", tmp_path)

    done = data.manage("upgrade")

    assert done.returncode == 0, done.stderr
    assert "Backup" not in done.stdout
    assert not (tmp_path / "backups").exists()
    tables = sqlite3.connect(tmp_path / "gatehouse.sqlite3")
    assert tables.execute("SELECT count(*) FROM accounts_user").fetchone() == (0,)
    tables.close()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ('ALTER TABLE "accounts_user" ADD COLUMN "x" integer', READS := "accounts_user"),
        ('ALTER TABLE IF EXISTS "accounts_user" DROP COLUMN "x"', READS),
        ('DROP TABLE "accounts_user" CASCADE', READS),
    ],
)
def test_a_statement_that_blocks_reads_is_named(statement: str, said: str) -> None:
    assert effects([statement], is_sqlite=False) == [f"stops reading and writing: {said}"]


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (['CREATE INDEX "i" ON "a" ("x")'], ["stops writing: a"]),
        (['CREATE UNIQUE INDEX "i" ON "a" ("x")'], ["stops writing: a"]),
        (['CREATE INDEX CONCURRENTLY "i" ON "a" ("x")'], []),
        (['ALTER TABLE "a" VALIDATE CONSTRAINT "c"'], []),
        (['CREATE TABLE "a" ("x" integer)', 'CREATE INDEX "i" ON "a" ("x")'], []),
        (['UPDATE "a" SET "x" = 1', 'UPDATE "a" SET "x" = 2'], ["locks the rows it changes: a"]),
        (['INSERT INTO "django_migrations" VALUES (1)', "SELECT 1"], []),
    ],
)
def test_a_migration_on_postgresql_reports_what_it_blocks(
    statements: list[str], said: list[str]
) -> None:
    assert effects(statements, is_sqlite=False) == said


def test_a_migration_on_sqlite_blocks_writes() -> None:
    assert effects([], is_sqlite=True) == ["stops writing to the whole file"]
