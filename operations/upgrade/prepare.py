"""Prepares the data at every start and upgrade, one process at a time."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.core.management import call_command
from django.core.management.commands.migrate import Command as Migrate
from django.db import OperationalError, connection, connections

from core.cache import cache_alias
from core.crypto.encryption_key import forget_key, note_key, require_same_key
from core.health import pending_migrations
from core.web.request_context import RequestContext, use_context
from core.web.static_files import collect_static
from operations.backup.file_switch import finish_interrupted_restores
from operations.backup.post_restore import Revoked, finish_restore
from operations.errors import OperationError
from operations.locks import ignore_message, upgrade_lock
from operations.upgrade.new_database import create_tables

# The table of a database that `movedata` has not filled yet, with the progress.
TRANSFER_TABLE = "gatehouse_move"
LOCK_WAIT, LOCK_TRIES = "5s", 12
# PostgreSQL, appendix A: error codes.
LOCK_NOT_AVAILABLE = "55P03"


class Prepared(NamedTuple):
    """migrations: applied ones, as app.name. revoked: what a restore has revoked, or None."""

    migrations: list[str]
    revoked: Revoked | None


def prepare(
    say: Callable[[str], None] = ignore_message,
    *,
    other_key: bool = False,
    note_applied: Callable[[str], None] = ignore_message,
) -> Prepared:
    """Migrate, collect static files, finish a restore. Safe to call in several processes.

    other_key: continue although another ENCRYPTION_KEY encrypted the database. note_applied: called
    with app.name after each migration. Raises OperationError if a transfer to the database is
    incomplete, SecretsReplaced if the process must restart first, EncryptionKeyMismatch.
    """
    with upgrade_lock(say):
        return prepare_locked(say, other_key=other_key, note_applied=note_applied)


def prepare_locked(
    say: Callable[[str], None] = ignore_message,
    *,
    other_key: bool = False,
    note_applied: Callable[[str], None] = ignore_message,
) -> Prepared:
    """See prepare(); for callers that hold the upgrade lock."""
    with use_context(RequestContext(channel="command")):
        require_ready(other_key=other_key)
        missing = pending_migrations(connection)
        if missing and not create_tables(connection, note_applied):
            _migrate(say, note_applied)
        if cache_alias() != "default":
            prepare_cache()
        if other_key:
            forget_key()
        note_key()
        collect_static()
        return Prepared(missing, finish_restore())


def prepare_cache() -> None:
    """Migrate the file of the counters."""
    database = connections[cache_alias()]
    if pending_migrations(database) and not create_tables(database, ignore_message):
        call_command("migrate", database=database.alias, verbosity=0, interactive=False)


def require_ready(*, other_key: bool) -> None:
    """Raise what prepare() raises before it changes the database; see there."""
    finish_interrupted_restores()
    if TRANSFER_TABLE in connection.introspection.table_names():
        raise OperationError(
            "A transfer to this database was interrupted. Repeat the same `manage.py movedata` "
            "with the settings of the old database, or empty this one."
        )
    if not other_key:
        require_same_key()


class _NotedMigrate(Migrate):
    """Django's migrate, which calls `note` after each migration."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note = note

    def migration_progress_callback(
        self, action: str, migration: Any = None, fake: bool = False
    ) -> None:
        if action == "apply_success":
            self._note(f"{migration.app_label}.{migration.name}")


def _migrate(say: Callable[[str], None], note: Callable[[str], None]) -> None:
    """Apply missing migrations. On PostgreSQL, never wait long for the lock of a table.

    While a migration waits for a table, every later query on it waits too, even reads. So a
    migration gives up after LOCK_WAIT, is rolled back, lets the others go on and tries again.
    """
    if connection.vendor != "postgresql":
        call_command(_NotedMigrate(note), verbosity=0, interactive=False)
        return
    for _attempt in range(LOCK_TRIES):
        try:
            _set_lock_timeout(LOCK_WAIT)
            call_command(_NotedMigrate(note), verbosity=0, interactive=False)
        except OperationalError as error:
            # Django leaves the transaction open when a statement at its end fails, as the foreign
            # keys of new tables do: only a new connection is sure to be out of it.
            connection.close()
            connection.connect()
            if getattr(error.__cause__, "sqlstate", "") != LOCK_NOT_AVAILABLE:
                raise
            say("A migration waits for a table that is in use; trying again.")
        else:
            return
        finally:
            _set_lock_timeout("0")
    raise OperationError(
        "A table stayed in use for a minute, so its migration was rolled back. End the long "
        "transaction (see pg_stat_activity), or stop the servers, and start again."
    )


def _set_lock_timeout(value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [value])
