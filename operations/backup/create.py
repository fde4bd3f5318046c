"""Backup of a running instance: a snapshot of the database, and the secrets of DATA_DIR."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.db import connection, connections
from django.utils import timezone

from core.cache import TABLE as COUNTERS
from core.crypto.encryption_key import make_fingerprint
from core.locks import AUDIT
from core.models import NamedLock
from core.version import VERSION
from operations.adapters import PostgresStore, SqliteStore, Store, quoted
from operations.backup.archive import (
    DATABASES,
    FILES,
    Manifest,
    digest_of,
    require_new,
    write_archive,
)
from operations.errors import OperationError
from operations.postgres import run_tool

SECRETS = "secrets"
# Key files that settings name may be in DATA_DIR too.
KEY_ENDINGS = frozenset({".pem", ".key", ".crt", ".jwk", ".jwks"})
MAX_KEY_FILE_BYTES = 1_000_000
# Folders of DATA_DIR that are generated, or are copies themselves.
EXCLUDED = ("static", "backups", "before-restore-", "rehearsal-", ".")
FROM_OUTSIDE = ("SECRET_KEY", "ENCRYPTION_KEY", "JWT_SECRET", "JWT_REFRESH_SECRET")
BROKEN_FILE = "The SQLite file is damaged ({what}). Restore an older backup."


def back_up(file: Path, *, with_secrets: bool = True) -> Manifest:
    """Write a backup of the running instance to `file`. Raises OperationError."""
    require_new(file)
    with TemporaryDirectory(prefix=".gatehouse-backup-", dir=file.parent) as folder:
        kind = database_kind()
        database = Path(folder) / DATABASES[kind]
        with _snapshot(kind, database) as snapshot:
            migrations, counts, audit_rows = _facts(snapshot)
        parts = {database.name: database}
        if with_secrets:
            parts |= {f"{FILES}{name}": path for name, path in secret_files().items()}
        manifest = Manifest(
            version=VERSION,
            made_at=timezone.now().isoformat(timespec="seconds"),
            database=kind,
            migrations=migrations,
            counts=counts,
            audit_rows=audit_rows,
            key=make_fingerprint(settings.ENCRYPTION_KEY),
            has_secrets=with_secrets,
            outside=[name for name in FROM_OUTSIDE if is_from_outside(name)],
            parts={name: digest_of(path) for name, path in parts.items()},
        )
        write_archive(file, manifest, parts)
    return manifest


def database_kind() -> str:
    """sqlite or postgres."""
    return "postgres" if connection.vendor == "postgresql" else "sqlite"


def is_from_outside(name: str) -> bool:
    """Does the secret come from the environment or .env, and not from DATA_DIR?"""
    return settings.ENV[name] is not None and not settings.ENV.source(name).startswith("generated")


def secret_files() -> dict[str, Path]:
    """Secrets and keys in DATA_DIR by their path below it."""
    root = Path(settings.DATA_DIR)
    return {str(path.relative_to(root)): path for path in sorted(_candidates(root))}


def stamp(now: datetime | None = None) -> str:
    """A timestamp for the name of a file or folder."""
    return f"{now or timezone.now():%Y%m%dT%H%M%SZ}"


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a snapshot of a SQLite file to one file without WAL. Raises OperationError."""
    if not source.exists():
        raise OperationError("The database does not exist yet.")
    with (
        closing(sqlite3.connect(source, timeout=20)) as here,
        closing(sqlite3.connect(target)) as there,
    ):
        here.backup(there)
        there.execute("PRAGMA journal_mode=DELETE")
        check_sqlite(there)


def check_sqlite(database: sqlite3.Connection) -> None:
    """Raise OperationError if the file is damaged."""
    try:
        (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict != "ok":
        raise OperationError(BROKEN_FILE.format(what=verdict))


def dump_postgres(settings_dict: dict[str, Any], target: Path, *more: str) -> None:
    """Run pg_dump, without the rows of the counters. Raises OperationError."""
    arguments = ("--format=custom", "--no-owner", "--no-privileges", f"--file={target}", *more)
    run_tool("pg_dump", settings_dict, *arguments, f"--exclude-table-data=*.{COUNTERS}")


def _candidates(root: Path) -> Iterator[Path]:
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        is_secret = parts[0] == SECRETS or path.suffix in KEY_ENDINGS
        is_ours = is_secret and not any(part.startswith(EXCLUDED) for part in parts)
        if is_ours and path.is_file() and path.stat().st_size <= MAX_KEY_FILE_BYTES:
            yield path


@contextmanager
def _snapshot(kind: str, target: Path) -> Iterator[Store]:
    """Write the database to `target`, and yield a store that reads the same snapshot."""
    settings_dict = connections["default"].settings_dict
    if kind == "sqlite":
        copy_sqlite(Path(settings_dict["NAME"]), target)
        with closing(SqliteStore(target)) as copy:
            yield copy
        return
    with closing(PostgresStore(settings_dict)) as store:
        store.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        ((name,),) = store.run("SELECT pg_export_snapshot()")
        dump_postgres(settings_dict, target, f"--snapshot={name}")
        yield store


def _facts(store: Store) -> tuple[list[str], dict[str, int], int]:
    """Applied migrations, rows by table, rows of the audit log."""
    names = store.names() - {COUNTERS}
    if "django_migrations" not in names:
        raise OperationError("The database is empty. There is nothing to back up.")
    migrations = store.run("SELECT app, name FROM django_migrations ORDER BY app, name")
    counts = {
        name: int(store.run(f"SELECT count(*) FROM {quoted(name)}")[0][0])  # noqa: S608
        for name in sorted(names)
    }
    heads = store.run(
        f"SELECT seq FROM {NamedLock._meta.db_table} WHERE name = {store.placeholder}",  # noqa: S608
        [AUDIT],
    )
    applied = [f"{app}.{name}" for app, name in migrations]
    return applied, counts, int(heads[0][0]) if heads else 0
