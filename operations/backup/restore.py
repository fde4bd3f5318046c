"""Restore of a backup: checked first, with no server running, and with the old data kept.

SQLite: the new file is written beside the old one, then renamed. PostgreSQL: everything happens in
one transaction. The data contains the marker of post_restore.py: the next start installs the files
of the same backup if that was interrupted (file_switch.py), and revokes what was issued before.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from django.conf import settings
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader

from config.environment.errors import Unreadable
from config.environment.secrets import DIRECTORY, decode_key, read_secret
from core.crypto.encryption_key import make_fingerprint
from core.version import VERSION, numbers
from operations.backup.archive import FILES, Manifest, read_manifest, unpack
from operations.backup.create import (
    check_sqlite,
    database_kind,
    dump_postgres,
    is_from_outside,
    secret_files,
    stamp,
)
from operations.backup.file_switch import (
    finish_interrupted_restores,
    install_files,
    make_staging_folder,
    sync,
    sync_tree,
)
from operations.backup.post_restore import marker_statements
from operations.errors import OperationError
from operations.locks import STOP_FIRST, require_stopped, upgrade_lock
from operations.postgres import connect, run_in_one_transaction, run_tool

KEY_FILE = f"{DIRECTORY}/encryption_key"
# Drop everything in this schema, except the objects of extensions.
CLEAR = """DO $$ DECLARE found record; BEGIN
FOR found IN SELECT c.oid::regclass AS name, c.relkind AS kind FROM pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') LOOP
  EXECUTE format('DROP %s IF EXISTS %s CASCADE', CASE found.kind WHEN 'v' THEN 'VIEW'
    WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, found.name);
END LOOP;
FOR found IN SELECT p.oid::regprocedure AS name FROM pg_proc p
    WHERE p.pronamespace = current_schema()::regnamespace AND p.prokind IN ('f', 'p')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') LOOP
  EXECUTE format('DROP ROUTINE IF EXISTS %s CASCADE', found.name);
END LOOP;
FOR found IN SELECT c.oid::regclass AS name FROM pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'S'
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') LOOP
  EXECUTE format('DROP SEQUENCE IF EXISTS %s CASCADE', found.name);
END LOOP; END $$;
"""


class RestoreOptions(NamedTuple):
    """keep_keys: API keys stay valid. other_key: continue although ENCRYPTION_KEY differs."""

    file: Path
    keep_keys: bool = False
    other_key: bool = False


def check_manifest(manifest: Manifest) -> None:
    """Raise OperationError if this code or this database cannot use the backup."""
    disk = MigrationLoader(None).disk_migrations
    known = {f"{app}.{name}" for app, name in disk}
    unknown = sorted(set(manifest.migrations) - known)
    if unknown or numbers(manifest.version) > numbers(VERSION):
        raise OperationError(
            f"The backup was made by version {manifest.version}, which is newer than this one "
            f"({VERSION}). Upgrade the code first."
        )
    if manifest.database != database_kind():
        raise OperationError(
            f"The backup is of {manifest.database}, but DATABASE_URL is {database_kind()}. "
            "Restore it to a database of its kind, then use `manage.py movedata`."
        )


def restore(options: RestoreOptions, manifest: Manifest, say: Callable[[str], None]) -> Path:
    """Restore the backup; returns the folder with the old data. Raises OperationError.

    The next start, or `manage.py upgrade`, finishes the restore.
    """
    root = Path(settings.DATA_DIR)
    with upgrade_lock(say):
        require_stopped()
        # Otherwise the folder with the old data could mix two instances.
        finish_interrupted_restores()
        number, staging = make_staging_folder()
        try:
            unpack(options.file, manifest, staging)
            key = _key_after_restore(staging)
            _require_key(options, manifest, key)
            sync_tree(staging)
            aside = _keep_aside(root)
            marker_sql = marker_statements(number, keep_keys=options.keep_keys, key=key)
            restore_database = (
                _restore_sqlite if manifest.database == "sqlite" else _restore_postgres
            )
            restore_database(staging / manifest.database_part, aside, marker_sql)
            install_files(staging)
        finally:
            shutil.rmtree(staging)
    return aside


def put_back(file: Path) -> None:
    """Replace the database by that of the backup, exactly as it was. Raises OperationError.

    For an upgrade that failed: it has held the lock since the backup and no server ran, so nothing
    was issued or revoked meanwhile. Secrets stay, and nothing is kept of the present database.
    """
    manifest = read_manifest(file)
    with TemporaryDirectory(prefix=".put-back-", dir=settings.DATA_DIR) as name:
        unpack(file, manifest, Path(name))
        part = Path(name) / manifest.database_part
        if manifest.database == "sqlite":
            _restore_sqlite(part, None, ())
        else:
            _restore_postgres(part, None, ())


def _keep_aside(root: Path) -> Path:
    aside = root / f"before-restore-{stamp()}"
    try:
        aside.mkdir(mode=0o700)
    except FileExistsError:
        raise OperationError(f"{aside} exists already. Try again in a second.") from None
    for name, path in secret_files().items():
        target = aside / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy2(path, target)
    return aside


def _require_key(options: RestoreOptions, manifest: Manifest, key: bytes) -> None:
    """Raise OperationError if `key`, the future key, did not encrypt the backup."""
    if make_fingerprint(key) == manifest.key or options.other_key:
        return
    advice = (
        "Set ENCRYPTION_KEY to the value that the instance had"
        if is_from_outside("ENCRYPTION_KEY") or "ENCRYPTION_KEY" in manifest.outside
        else f"Copy DATA_DIR/{KEY_FILE} of that instance here"
    )
    raise OperationError(
        f"The backup was encrypted with another ENCRYPTION_KEY. {advice}, or add --other-key: "
        "then second factors, waiting mail and signing keys are lost. Nothing was changed."
    )


def _key_after_restore(staging: Path) -> bytes:
    """The ENCRYPTION_KEY that will be used after the restore."""
    file = staging / FILES / KEY_FILE
    if is_from_outside("ENCRYPTION_KEY") or not file.exists():
        key: bytes = settings.ENCRYPTION_KEY
        return key
    try:
        return decode_key(read_secret(file))
    except Unreadable as error:
        raise OperationError(f"The backup's {KEY_FILE} {error.what}.") from None


def _restore_sqlite(new: Path, aside: Path | None, marker_sql: Sequence[str]) -> None:
    """aside: a folder for the old data; None to keep none."""
    connections.close_all()
    path = Path(connection.settings_dict["NAME"])
    with closing(sqlite3.connect(new, isolation_level=None)) as database:
        check_sqlite(database)
        database.execute("BEGIN IMMEDIATE")
        for statement in marker_sql:
            database.execute(statement)
        database.execute("COMMIT")
    temporary = path.with_name(f".{path.name}.new")
    shutil.copyfile(new, temporary)
    temporary.chmod(0o600)
    sync(temporary)
    if path.exists():
        _merge_wal(path)
        if aside is not None:
            _link_or_copy(path, aside / path.name)
            sync_tree(aside)
    temporary.rename(path)  # the switch
    sync(path.parent)


def _merge_wal(path: Path) -> None:
    """Merge the WAL into the SQLite file. Raises OperationError if it is open elsewhere."""
    try:
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode=DELETE").fetchone()
    except sqlite3.OperationalError:
        raise OperationError(f"Another program has {path.name} open. {STOP_FIRST}") from None


def _link_or_copy(source: Path, target: Path) -> None:
    """Make a hard link, or a copy if the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _restore_postgres(dump: Path, aside: Path | None, marker_sql: Sequence[str]) -> None:
    """See _restore_sqlite()."""
    settings_dict = connection.settings_dict
    connection.close()
    script = dump.with_name("data.sql")
    run_tool("pg_restore", {}, "--no-owner", "--no-privileges", f"--file={script}", dump)
    if aside is not None and _has_tables():
        dump_postgres(settings_dict, aside / dump.name)
        sync_tree(aside)
    statements = "".join(f"{line};\n" for line in ("RESET search_path", *marker_sql))
    run_in_one_transaction(settings_dict, CLEAR, script, statements)  # the switch


def _has_tables() -> bool:
    with connect(connection.settings_dict) as database:
        statement = "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() LIMIT 1"
        return database.execute(statement).fetchone() is not None
