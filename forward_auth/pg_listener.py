"""News of changes with PostgreSQL: within a host by shared memory, between hosts by NOTIFY.

One thread in each server process listens, and asks the database every BEAT_SECONDS whether it is
still there. Without such a beat for BELIEVED_SECONDS nothing remembered is believed any more, so
that a lost connection costs speed and never lets anybody in. The same behind a connection pooler,
which may answer and still swallow what others say.
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

from forward_auth import shared_memory

logger = logging.getLogger("gatehouse.epoch")
CHANNEL = "gatehouse_epoch"
# As operators see the connection in pg_stat_activity.
NAME = "gatehouse-epoch"
FILE = "epoch"
BEAT_SECONDS = 0.3
BELIEVED_SECONDS = 1.0
RETRY_SECONDS = 0.3


# A run of a server, by its start, and the database there.
Server = tuple[Any, ...]
SERVER = """SELECT pg_postmaster_start_time()::text, oid, pg_is_in_recovery()
    FROM pg_database WHERE datname = current_database()"""


class Beat:
    """When the listener last heard from the database (monotonic seconds), and from which."""

    at = float("-inf")
    server: Server | None = None


def server_of(raw: Any) -> Server | None:
    """Which database a connection of psycopg reads.

    After a failover, or with several hosts, one may still read where the listener is not.
    """
    found: Server | None = raw.execute(SERVER).fetchone()
    return found


def shared_epoch(server: Server | None) -> bytes | None:
    """The bytes that every change on any host renews.

    None while the listener is deaf, or listens to another database than `server`.
    """
    if time.monotonic() - Beat.at > BELIEVED_SECONDS:
        return None
    if server is None or server != Beat.server:
        return None
    return _shared().memory[:]


def renew() -> None:
    """Say to every process of this host that something has changed."""
    try:
        _shared().memory[:] = os.urandom(shared_memory.LENGTH)
    except OSError:
        # The notification, which is part of the transaction, reaches each process as well.
        logger.exception("the shared epoch cannot be written")


class Pooled(Exception):
    """Somebody stands between us and PostgreSQL, so that LISTEN may be heard by nobody."""


class Listener:
    """The thread: listens for the changes of all hosts."""

    def start(self) -> None:
        """Run until the process ends."""
        threading.Thread(target=self._run, name="epoch", daemon=True).start()

    def _run(self) -> None:
        """Ends behind a pooler: nothing remembered is believed then, for as long as we run."""
        while True:
            connection = connections.create_connection("default")
            try:
                self._listen(connection)
            except Pooled:
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
            renew()  # what was said while nobody listened
            while True:
                asked_at = time.monotonic()
                raw.execute("SELECT 1")
                _shared().follow()
                Beat.at = asked_at
                select.select([raw.fileno()], [], [], BEAT_SECONDS)


def _require_direct(raw: Any) -> None:
    """Raise Pooled unless the process that we were told of is the one that answers.

    A pooler tells a number of its own when it takes a connection.
    """
    (answering,) = raw.execute("SELECT pg_backend_pid()").fetchone()
    if answering != raw.info.backend_pid:
        raise Pooled


def start_listener() -> None:
    """Start it where it is needed; once in each server process."""
    if settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
        Listener().start()


def _on_notify(_notification: Any) -> None:
    renew()


class _Shared:
    """The memory that the processes of this host share."""

    def __init__(self) -> None:
        self.memory, self._file = shared_memory.own(settings.DATA_DIR / FILE)

    def follow(self) -> None:
        """Share another file when one was put in its place: new processes share that one.

        Until then news comes by notification alone, a little later. Raises OSError.
        """
        try:
            if os.path.samestat(self._file, os.stat(settings.DATA_DIR / FILE)):
                return
        except FileNotFoundError:
            pass
        renew()  # for those who still share the old one
        self.memory, self._file = shared_memory.own(settings.DATA_DIR / FILE)
        renew()


@cache
def _shared() -> _Shared:
    return _Shared()
