"""Bring a backup back: checked first, over no running server, with what was there kept aside.

SQLite: the new file is made beside and renamed into place. PostgreSQL: everything happens in one
transaction. Either way the data comes with the mark of aftermath.py: whoever starts next puts the
files of the same backup in place if that was cut off (placing.py), and ends what was revoked since.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader

from config.environment.errors import Unreadable
from config.environment.secrets import DIRECTORY, decode_key, read_secret
from core.encryption_key import make_fingerprint
from core.version import VERSION, numbers
from operations.archive import FILES, Manifest, unpack
from operations.backup import (
    check_sqlite,
    database_kind,
    dump_postgres,
    is_from_outside,
    secret_files,
    stamp,
)
from operations.errors import OperationError
from operations.file_switch import (
    finish_cut_off_restores,
    make_staging_folder,
    place_files,
    sync,
    sync_tree,
)
from operations.locks import STOP_FIRST, alone, require_stopped
from operations.post_restore import mark_statements
from operations.postgres import connect, run_in_one_transaction, run_tool

KEY_FILE = f"{DIRECTORY}/encryption_key"
# Everything of this schema that we may have made; extensions keep what is theirs.
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


class Wish(NamedTuple):
    """How to restore. keep_keys: API keys go on. other_key: although ENCRYPTION_KEY differs."""

    file: Path
    keep_keys: bool = False
    other_key: bool = False


def check_manifest(manifest: Manifest) -> None:
    """Raise OperationError when this code or this database cannot take the backup."""
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
            f"The backup is of {manifest.database}, and DATABASE_URL names {database_kind()}. "
            "Restore it to a database of its kind, then use `manage.py movedata`."
        )


def restore(wish: Wish, manifest: Manifest, say: Callable[[str], None]) -> Path:
    """Put the backup in place; the folder with what was there. Raises OperationError.

    The next start, or `manage.py upgrade`, finishes it.
    """
    root = Path(settings.DATA_DIR)
    with alone(say):
        require_stopped()
        # What is kept aside below is then one instance, not the halves of two.
        finish_cut_off_restores()
        number, staging = make_staging_folder()
        try:
            unpack(wish.file, manifest, staging)
            key = _coming_key(staging)
            _require_key(wish, manifest, key)
            sync_tree(staging)
            aside = _make_aside(root)
            marks = mark_statements(number, keep_keys=wish.keep_keys, key=key)
            bring_in = _restore_sqlite if manifest.database == "sqlite" else _restore_postgres
            bring_in(staging / manifest.database_part, aside, marks)
            place_files(staging)
        finally:
            shutil.rmtree(staging)
    return aside


def _make_aside(root: Path) -> Path:
    aside = root / f"before-restore-{stamp()}"
    try:
        aside.mkdir(mode=0o700)
    except FileExistsError:
        raise OperationError(f"{aside} is there already. Try again in a second.") from None
    for name, path in secret_files().items():
        target = aside / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy2(path, target)
    return aside


def _require_key(wish: Wish, manifest: Manifest, key: bytes) -> None:
    """Raise OperationError when `key`, which will be in use, did not encrypt the backup."""
    if make_fingerprint(key) == manifest.key or wish.other_key:
        return
    advice = (
        "Set ENCRYPTION_KEY to the value that the instance had"
        if is_from_outside("ENCRYPTION_KEY") or "ENCRYPTION_KEY" in manifest.outside
        else f"Bring DATA_DIR/{KEY_FILE} of that instance back"
    )
    raise OperationError(
        f"The backup was sealed with another ENCRYPTION_KEY. {advice}, or add --other-key: what "
        "was sealed (second factors, waiting mail, signing keys) is lost then. Nothing was changed."
    )


def _coming_key(staging: Path) -> bytes:
    """ENCRYPTION_KEY as it will be after the restore."""
    file = staging / FILES / KEY_FILE
    if is_from_outside("ENCRYPTION_KEY") or not file.exists():
        key: bytes = settings.ENCRYPTION_KEY
        return key
    try:
        return decode_key(read_secret(file))
    except Unreadable as error:
        raise OperationError(f"The backup's {KEY_FILE} {error.what}.") from None


def _restore_sqlite(new: Path, aside: Path, marks: Sequence[str]) -> None:
    connections.close_all()
    place = Path(connection.settings_dict["NAME"])
    with closing(sqlite3.connect(new, isolation_level=None)) as database:
        check_sqlite(database)
        database.execute("BEGIN IMMEDIATE")
        for statement in marks:
            database.execute(statement)
        database.execute("COMMIT")
    beside = place.with_name(f".{place.name}.new")
    shutil.copyfile(new, beside)
    beside.chmod(0o600)
    sync(beside)
    if place.exists():
        _fold(place)
        _link(place, aside / place.name)
        sync_tree(aside)
    beside.rename(place)  # the switch
    sync(place.parent)


def _fold(place: Path) -> None:
    """Bring the log of a SQLite file into the file; only possible when nobody else has it open."""
    try:
        with closing(sqlite3.connect(place, timeout=0, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode=DELETE").fetchone()
    except sqlite3.OperationalError:
        raise OperationError(f"Another program has {place.name} open. {STOP_FIRST}") from None


def _link(source: Path, target: Path) -> None:
    """A second name, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _restore_postgres(dump: Path, aside: Path, marks: Sequence[str]) -> None:
    place = connection.settings_dict
    connection.close()
    script = dump.with_name("data.sql")
    run_tool("pg_restore", {}, "--no-owner", "--no-privileges", f"--file={script}", dump)
    if _has_tables():
        dump_postgres(place, aside / dump.name)
        sync_tree(aside)
    statements = "".join(f"{line};\n" for line in ("RESET search_path", *marks))
    run_in_one_transaction(place, CLEAR, script, statements)  # the switch


def _has_tables() -> bool:
    with connect(connection.settings_dict) as database:
        statement = "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() LIMIT 1"
        return database.execute(statement).fetchone() is not None
