"""Transfer of the instance to another database, table by table; the work of `manage.py movedata`.

The target stores the progress of each table in the same transaction as the rows, so an interrupted
transfer loses and repeats nothing, and continues where it was. Every row is added to a checksum on
both sides; the checksum does not depend on the order.
"""

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from django.conf import settings
from django.core.management.base import OutputWrapper
from django.db import connection

from config.environment.errors import Unreadable
from config.environment.parsing.databases import database_settings
from core.health import pending_migrations
from core.locks import AUDIT
from core.models import NamedLock
from operations.adapters import Row, Store, open_store, quoted
from operations.backup.post_restore import MARKER
from operations.errors import OperationError
from operations.locks import require_stopped, upgrade_lock
from operations.subprocesses import environment_for, manage, sqlite_url
from operations.tables import Table, all_tables
from operations.upgrade.prepare import TRANSFER_TABLE

MODULUS = 1 << 256
BAR_WIDTH = 24
# The progress row of the whole transfer.
WHOLE = ""
CREATE_TABLE = (
    f"CREATE TABLE {TRANSFER_TABLE} (name varchar(100) PRIMARY KEY, last_key text,"
    " copied bigint NOT NULL, total varchar(64) NOT NULL, done integer NOT NULL)"
)
CHANGED = (
    "The old database has changed since this transfer began ({where}). "
    "Empty the new one and start again, with the server stopped."
)


class ProgressBar:
    """Shows how many of `total` rows are done: a bar on a terminal, else one line for each step."""

    def __init__(self, out: OutputWrapper, total: int) -> None:
        self.out, self.total, self.done = out, total, 0
        self._label = ""

    def step(self, label: str, count: int) -> None:
        """Add `count` done rows of the step `label`."""
        self.done += count
        part = min(1.0, self.done / self.total) if self.total else 1.0
        if self.out.isatty():
            filled = "#" * int(part * BAR_WIDTH)
            bar = f"[{filled:<{BAR_WIDTH}}] {part:4.0%} {self.done} of {self.total}"
            self.out.write(f"\r{bar} {label:<32.32}", ending="")
        elif label != self._label:
            self.out.write(f"{part:4.0%} {label}")
        self._label = label

    def end(self) -> None:
        """End the line of the bar."""
        if self.out.isatty():
            self.out.write("")


@dataclass(slots=True)
class TableProgress:
    """The progress of one table: rows copied, the sum of their digests, the last key."""

    copied: int = 0
    total: int = 0
    last_key: str | None = None
    done: bool = False

    def add(self, rows: Sequence[Row]) -> None:
        """Count rows, and add their digests to the checksum."""
        self.copied += len(rows)
        added = sum(int.from_bytes(sha256(repr(row).encode()).digest()) for row in rows)
        self.total = (self.total + added) % MODULUS

    def has_rows_of(self, other: "TableProgress") -> bool:
        """Do the counts and checksums of both agree?"""
        return (self.copied, self.total) == (other.copied, other.total)


class Transfer:
    """One transfer. stamp: identifies the state of the old database."""

    def __init__(self, source: Store, target: Store, tables: Sequence[Table], stamp: str) -> None:
        self.source, self.target, self.tables, self.stamp = source, target, tables, stamp
        self.is_resumed = False

    def begin(self, migrate: Callable[[], None]) -> None:
        """Prepare the target, or find the progress of an interrupted transfer.

        Raises OperationError if the target is not empty, or the source has changed since.
        """
        names = self.target.names()
        if names and TRANSFER_TABLE not in names:
            raise OperationError(
                f"The new database is not empty: it holds {len(names)} tables. Nothing was done."
            )
        if not names:
            self.target.run(CREATE_TABLE)
            self._save(WHOLE, TableProgress(last_key=self.stamp))
            self.target.commit()
        whole = self._progress(WHOLE)
        if whole.last_key != self.stamp:
            raise OperationError(CHANGED.format(where="or it was another database"))
        self.is_resumed = whole.done
        if not whole.done:
            migrate()
            self._empty()
            whole.done = True
            self._save(WHOLE, whole)
            self.target.commit()

    def copy(self, bar: ProgressBar) -> None:
        """Copy the missing rows of every table."""
        for table in self.tables:
            progress = self._progress(table.name)
            bar.step(table.name, progress.copied)
            if progress.done:
                continue
            for batch in self.source.read(table, progress.last_key):
                self.target.write(table, batch)
                progress.add(batch)
                progress.last_key = str(batch[-1][table.key])
                self._save(table.name, progress)
                self.target.commit()
                bar.step(table.name, len(batch))
            progress.done = True
            self._save(table.name, progress)
            self.target.commit()

    def check(self, bar: ProgressBar) -> dict[str, int]:
        """Compare counts and checksums; returns the rows of each table. Raises OperationError.

        After an interruption the source is read again, because it may have changed meanwhile.
        """
        counts = {}
        for table in self.tables:
            progress = self._progress(table.name)
            if not progress.has_rows_of(read_table(self.target, table, bar)):
                raise OperationError(
                    f"The new database has other rows in {table.name} than the old one. Empty the "
                    "new database and start again."
                )
            if self.is_resumed and not progress.has_rows_of(read_table(self.source, table, bar)):
                raise OperationError(CHANGED.format(where=table.name))
            counts[table.name] = progress.copied
        return counts

    def end(self) -> None:
        """Set the sequences and drop the progress table. From then on the database is usable."""
        self.target.finish(self.tables)
        self.target.run(f"DROP TABLE {TRANSFER_TABLE}")
        self.target.commit()

    def _empty(self) -> None:
        """Delete the rows that migrations wrote; those of the source replace them."""
        for table in reversed(self.tables):
            self.target.run(f"DELETE FROM {quoted(table.name)}")  # noqa: S608  # our own name

    def _progress(self, name: str) -> TableProgress:
        mark = self.target.placeholder
        found = self.target.run(
            f"SELECT copied, total, last_key, done FROM {TRANSFER_TABLE} WHERE name = {mark}",  # noqa: S608
            [name],
        )
        if not found:
            return TableProgress()
        copied, total, last_key, done = found[0]
        return TableProgress(copied, int(total, 16), last_key, bool(done))

    def _save(self, name: str, progress: TableProgress) -> None:
        mark = self.target.placeholder
        self.target.run(
            f"INSERT INTO {TRANSFER_TABLE} (name, copied, total, last_key, done)"  # noqa: S608
            f" VALUES ({mark}, {mark}, {mark}, {mark}, {mark}) ON CONFLICT (name) DO UPDATE"
            " SET copied = excluded.copied, total = excluded.total,"
            " last_key = excluded.last_key, done = excluded.done",
            [
                name,
                progress.copied,
                f"{progress.total:064x}",
                progress.last_key,
                int(progress.done),
            ],
        )


def read_table(store: Store, table: Table, bar: ProgressBar) -> TableProgress:
    """Read a whole table: the count and the checksum of its rows."""
    found = TableProgress()
    for batch in store.read(table, None):
        found.add(batch)
        bar.step(f"check {table.name}", len(batch))
    return found


def count_of(store: Store, table: Table) -> int:
    """The number of rows of a table."""
    return int(store.run(f"SELECT count(*) FROM {quoted(table.name)}")[0][0])  # noqa: S608


class TransferResult(NamedTuple):
    """url: the new DATABASE_URL. counts: rows by table. audit: the result of `verifyaudit`."""

    url: str
    counts: dict[str, int]
    audit: str


def transfer_to(url: str, out: OutputWrapper, say: Callable[[str], None]) -> TransferResult:
    """Copy everything to the empty database at `url`. The old one is locked but not changed.

    Raises OperationError.
    """
    target_settings = _target_settings(url)
    if target_settings["ENGINE"].endswith("sqlite3"):
        url = sqlite_url(Path(target_settings["NAME"]))
    with upgrade_lock(say):
        require_stopped()
        _require_ready()
        source, target = _open_both(target_settings)
        try:
            return _transfer(source, target, url, out)
        except (sqlite3.Error, psycopg.Error) as error:
            raise OperationError(f"The transfer failed: {error}".strip()) from error
        finally:
            target.close()
            source.close()


def _transfer(source: Store, target: Store, url: str, out: OutputWrapper) -> TransferResult:
    tables = all_tables()
    source.hold(tables)
    total = sum(count_of(source, table) for table in tables)
    transfer = Transfer(source, target, tables, _stamp(source))
    environment = environment_for(url)
    transfer.begin(lambda: _migrate(target, environment))
    bar = ProgressBar(out, total)
    transfer.copy(bar)
    bar.end()
    bar = ProgressBar(out, 2 * total if transfer.is_resumed else total)
    counts = transfer.check(bar)
    bar.end()
    # Check the log before the progress table is dropped, so that no server uses a broken copy.
    verdict = manage("verifyaudit", environment=environment).strip()
    transfer.end()
    return TransferResult(url, counts, verdict)


def _migrate(target: Store, environment: dict[str, str]) -> None:
    """Migrate the target in a subprocess, whose database it is."""
    target.commit()
    manage("migrate", "--verbosity=0", "--no-input", environment=environment)


def _open_both(target_settings: dict[str, Any]) -> tuple[Store, Store]:
    """Open both databases. Closes Django's own connection, so that it holds no lock."""
    connection.close()
    source = open_store(connection.settings_dict)
    try:
        return source, open_store(target_settings, is_new=True)
    except OperationError:
        source.close()
        raise


def _target_settings(url: str) -> dict[str, Any]:
    try:
        found = database_settings(url, settings.DATA_DIR)
    except Unreadable as error:
        raise OperationError(f"--to {error.what}; {error.fix}.") from None
    here = connection.settings_dict
    if all(str(found.get(name, "")) == str(here[name]) for name in ("NAME", "HOST", "PORT")):
        raise OperationError("--to names the database that is in use.")
    return found


def _require_ready() -> None:
    if pending_migrations(connection):
        raise OperationError("This database is older than the code. Run `manage.py upgrade` first.")
    if NamedLock.objects.filter(pk=MARKER).exists():
        raise OperationError("A restore has not been finished. Run `manage.py upgrade` first.")


def _stamp(source: Store) -> str:
    """The head of the audit log, which changes with nearly every action."""
    rows = source.run(
        f"SELECT seq, hash FROM {NamedLock._meta.db_table} WHERE name = {source.placeholder}",  # noqa: S608
        [AUDIT],
    )
    return json.dumps(rows[0])
