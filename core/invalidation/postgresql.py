"""Changes on PostgreSQL: noticed at each cursor, announced within a host and between hosts.

Within a host the processes share eight bytes of memory, which each of them replaces after its
commits. Other hosts hear of a change by NOTIFY, which is part of its transaction.

One thread in each server process listens, and asks the database every BEAT_SECONDS whether it is
still there. Without such a beat for TRUSTED_SECONDS nothing is cached, so a lost connection costs
speed and never admits anyone. The same holds behind a connection pooler, which may answer and still
lose notifications.
"""

import logging
import mmap
import os
import select
import threading
import time
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

logger = logging.getLogger("gatehouse.epoch")
CHANNEL = "gatehouse_epoch"
# The name of the connection in pg_stat_activity.
NAME = "gatehouse-epoch"
# In DATA_DIR, LENGTH bytes.
FILE, LENGTH = "epoch", 8
BEAT_SECONDS = 0.3
TRUSTED_SECONDS = 1.0
RETRY_SECONDS = 0.3
# Statements with lists of values are long, and each is different, so caching them is useless.
MAX_CACHED_LENGTH = 2_000
Execute = Callable[[Any, Any, bool, dict[str, Any]], Any]
# The start of a server, its database, and whether it is a standby.
Server = tuple[Any, ...]
SERVER = """SELECT pg_postmaster_start_time()::text, oid, pg_is_in_recovery()
    FROM pg_database WHERE datname = current_database()"""


class Beat:
    """When the listener last heard from the database (monotonic seconds), and from which server."""

    at = float("-inf")
    server: Server | None = None


def server_of(raw: Any) -> Server | None:
    """Which server and database a psycopg connection reads.

    After a failover, or with several hosts, it may differ from that of the listener.
    """
    found: Server | None = raw.execute(SERVER).fetchone()
    return found


def shared_data_version(server: Server | None) -> bytes | None:
    """The bytes that every change on any host replaces.

    None while the listener has lost its connection, or listens to another server than `server`.
    """
    if time.monotonic() - Beat.at > TRUSTED_SECONDS:
        return None
    if server is None or server != Beat.server:
        return None
    return _shared().memory[:]


def announce_change() -> None:
    """Tell every process of this host that something has changed."""
    try:
        _shared().memory[:] = os.urandom(LENGTH)
    except OSError:
        # The notification, which is part of the transaction, reaches each process as well.
        logger.exception("the shared data version cannot be written")


class PoolerDetected(Exception):
    """A connection pooler answers for PostgreSQL, so LISTEN may have no effect."""


def start_listener() -> None:
    """Start the thread that listens, where PostgreSQL is used. Call it once in each process."""
    if settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
        threading.Thread(target=_run_listener, name="epoch", daemon=True).start()


def _run_listener() -> None:
    """Ends behind a pooler: then nothing is cached while this process runs."""
    while True:
        connection = connections.create_connection("default")
        try:
            _listen(connection)
        except PoolerDetected:
            logger.warning("a connection pooler stands before PostgreSQL: checks read each row")
            connection.close()
            return
        except (Error, OSError) as error:
            logger.warning("listening has stopped", extra={"reason": type(error).__name__})
        except Exception:
            logger.exception("listening has stopped")
        Beat.at = float("-inf")
        connection.close()
        time.sleep(RETRY_SECONDS)


def _listen(connection: BaseDatabaseWrapper) -> None:
    """Beat until the connection breaks."""
    with connection.wrap_database_errors:
        connection.ensure_connection()
        raw: Any = connection.connection
        _require_direct(raw)
        raw.add_notify_handler(_on_notify)
        raw.execute(f"SET application_name = '{NAME}'")
        raw.execute(f"LISTEN {CHANNEL}")
        Beat.server = server_of(raw)
        announce_change()  # for changes that were missed before
        while True:
            asked_at = time.monotonic()
            raw.execute("SELECT 1")
            _shared().follow()
            Beat.at = asked_at
            select.select([raw.fileno()], [], [], BEAT_SECONDS)


def _require_direct(raw: Any) -> None:
    """Raise PoolerDetected unless the backend that answers is the one that accepted the connection.

    A pooler reports a process id of its own when it accepts a connection.
    """
    (answering,) = raw.execute("SELECT pg_backend_pid()").fetchone()
    if answering != raw.info.backend_pid:
        raise PoolerDetected


def _on_notify(_notification: Any) -> None:
    announce_change()


class _Shared:
    """The memory that the processes of this host share."""

    def __init__(self) -> None:
        self.memory, self._file = _map_file(settings.DATA_DIR / FILE)

    def follow(self) -> None:
        """Switch to a file that replaced ours, because new processes share that one.

        Until then changes are noticed by notification alone, a little later. Raises OSError.
        """
        try:
            if os.path.samestat(self._file, os.stat(settings.DATA_DIR / FILE)):
                return
        except FileNotFoundError:
            pass
        announce_change()  # for processes that still share the old file
        self.memory, self._file = _map_file(settings.DATA_DIR / FILE)
        announce_change()


@cache
def _shared() -> _Shared:
    return _Shared()


def _map_file(path: Path) -> tuple[mmap.mmap, os.stat_result]:
    """Map LENGTH bytes of our own file for reading and writing; returns the file's status, too.

    Creates the file if it is missing. Raises OSError.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(handle).st_size < LENGTH:
            os.ftruncate(handle, LENGTH)
        return mmap.mmap(handle, LENGTH), os.fstat(handle)
    finally:
        os.close(handle)


def track_changes() -> None:
    """Watch the cursors of every connection that is opened from now on.

    So services, the admin, commands and plain SQL are noticed alike.
    """
    connection_created.connect(_watch, dispatch_uid="core.invalidation")


def _watch(connection: BaseDatabaseWrapper, **_of_signal: Any) -> None:
    if connection.vendor != "postgresql" or connection.alias != DEFAULT_DB_ALIAS:
        return
    if note_write not in connection.execute_wrappers:
        connection.execute_wrappers.append(note_write)


def note_write(execute: Execute, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Run the statement. Announce a write to other hosts with its commit, to this host after it."""
    result = execute(sql, params, many, context)
    if is_write(str(sql)):
        _announce(context["connection"])
    return result


@cache
def watched_tables() -> tuple[str, ...]:
    """The tables of settings.WATCHED_MODELS."""
    return tuple(apps.get_model(label)._meta.db_table for label in settings.WATCHED_MODELS)


def is_write(sql: str) -> bool:
    """Whether the statement may change one of the watched tables."""
    return _is_known_write(sql) if len(sql) <= MAX_CACHED_LENGTH else _is_write(sql)


@lru_cache(maxsize=2048)
def _is_known_write(sql: str) -> bool:
    return _is_write(sql)


def _is_write(sql: str) -> bool:
    first = sql.lstrip()[:6].upper()
    return first != "SELECT" and any(table in sql for table in watched_tables())


def _announce(connection: BaseDatabaseWrapper) -> None:
    # Both are rolled back together with a savepoint, so one for each transaction is enough.
    waiting: list[Any] = connection.run_on_commit
    if any(entry[1] is announce_change for entry in waiting):
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
    if connection.in_atomic_block:
        # First, because Django skips the remaining callbacks when one of them fails.
        waiting.insert(0, (set(connection.savepoint_ids), announce_change, True))
    else:
        announce_change()
