"""Announces changes with PostgreSQL: within a host by shared memory, between hosts by NOTIFY.

One thread in each server process listens, and asks the database every BEAT_SECONDS whether it is
still there. Without such a beat for TRUSTED_SECONDS nothing is cached, so a lost connection costs
speed and never admits anyone. The same holds behind a connection pooler, which may answer and still
lose notifications.
"""

import logging
import os
import select
import threading
import time
from functools import cache
from typing import Any

from django.conf import settings
from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from forward_auth.invalidation import shared_memory

logger = logging.getLogger("gatehouse.epoch")
CHANNEL = "gatehouse_epoch"
# The name of the connection in pg_stat_activity.
NAME = "gatehouse-epoch"
FILE = "epoch"
BEAT_SECONDS = 0.3
TRUSTED_SECONDS = 1.0
RETRY_SECONDS = 0.3


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
        _shared().memory[:] = os.urandom(shared_memory.LENGTH)
    except OSError:
        # The notification, which is part of the transaction, reaches each process as well.
        logger.exception("the shared data version cannot be written")


class PoolerDetected(Exception):
    """A connection pooler answers for PostgreSQL, so LISTEN may have no effect."""


class Listener:
    """The thread that listens for the changes of all hosts."""

    def start(self) -> None:
        """Run until the process ends."""
        threading.Thread(target=self._run, name="epoch", daemon=True).start()

    def _run(self) -> None:
        """Ends behind a pooler: then nothing is cached while this process runs."""
        while True:
            connection = connections.create_connection("default")
            try:
                self._listen(connection)
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

    def _listen(self, connection: BaseDatabaseWrapper) -> None:
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


def start_listener() -> None:
    """Start the listener where PostgreSQL is used. Call it once in each server process."""
    if settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
        Listener().start()


def _on_notify(_notification: Any) -> None:
    announce_change()


class _Shared:
    """The memory that the processes of this host share."""

    def __init__(self) -> None:
        self.memory, self._file = shared_memory.map_own(settings.DATA_DIR / FILE)

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
        self.memory, self._file = shared_memory.map_own(settings.DATA_DIR / FILE)
        announce_change()


@cache
def _shared() -> _Shared:
    return _Shared()
