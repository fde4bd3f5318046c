"""Locks on the whole instance: one upgrade at a time, no restore while a server runs.

With PostgreSQL it is an advisory lock, valid for all nodes; with SQLite a lock on a file in
DATA_DIR. Both end with the process that holds them, even if it is killed.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection

from operations.errors import OperationError
from operations.postgres import connect

if TYPE_CHECKING:
    import psycopg

UPGRADE_FILE = "upgrade.lock"
SERVING_FILE = "serving.lock"
# An arbitrary number that no other lock in this database uses.
ADVISORY_NUMBER = 6_042_317_259_481
RETRY_SECONDS = 0.05
LOCK_NAME = "gatehouse upgrade lock"
BUSY = "Another process is upgrading the database"
STOP_FIRST = "Stop the server (all of them, if there are several), then try again."
# Other connections, except those of processes that wait for the upgrade lock.
OTHERS = """SELECT coalesce(nullif(application_name, ''), 'a program'), client_addr::text
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND usename IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
    AND application_name <> %s ORDER BY 1, 2"""


def ignore_message(_text: str) -> None:
    """Discards messages."""


@contextmanager
def upgrade_lock(
    say: Callable[[str], None] = ignore_message, *, wait: bool = True
) -> Iterator[None]:
    """Hold the upgrade lock inside the block. Waits for another holder, and reports that.

    wait=False raises OperationError instead.
    """
    holder = _advisory_lock if connection.vendor == "postgresql" else _file_lock
    with holder(say if wait else _refuse):
        yield


def _refuse(_text: str) -> None:
    raise OperationError(f"{BUSY}. Nothing was done: wait until it has ended, then try again.")


@contextmanager
def serving() -> Iterator[None]:
    """Hold a shared lock while a server uses this DATA_DIR; several servers may hold it."""
    with _opened(SERVING_FILE) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


def require_stopped() -> None:
    """Raise OperationError if a server uses this database."""
    with stopped():
        pass


@contextmanager
def stopped() -> Iterator[None]:
    """Let no server start with this DATA_DIR inside the block.

    Raises OperationError if one uses the database, before the block.
    """
    with _opened(SERVING_FILE) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OperationError(f"A Gatehouse server uses this data. {STOP_FIRST}") from None
        require_no_connections()
        yield


def others_connected(database: "psycopg.Connection") -> list[str]:
    """Other programs connected to this PostgreSQL database, with their addresses."""
    found = database.execute(OTHERS, [LOCK_NAME]).fetchall()
    return [f"{name} from {address}" if address else str(name) for name, address in found]


def require_no_connections(*, patience_seconds: float = 0.0) -> None:
    """Raise OperationError if others are connected to this PostgreSQL database.

    patience_seconds: PostgreSQL notices a moment later that a process has ended.
    """
    if connection.vendor != "postgresql":
        return
    connection.close()  # so that it is not listed
    until = time.monotonic() + patience_seconds
    with connect(connection.settings_dict, autocommit=True) as database:
        while (others := others_connected(database)) and time.monotonic() < until:
            time.sleep(RETRY_SECONDS)
    if others:
        raise OperationError(f"The database is in use by: {', '.join(others[:5])}. {STOP_FIRST}")


@contextmanager
def _advisory_lock(say: Callable[[str], None]) -> Iterator[None]:
    """Uses a separate connection, so that the work in the block cannot release the lock."""
    with connect(connection.settings_dict, application_name=LOCK_NAME, autocommit=True) as database:
        taken = database.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY_NUMBER]).fetchone()
        if taken != (True,):
            say(f"{BUSY}; waiting for it.")
            database.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_NUMBER])
        yield


@contextmanager
def _file_lock(say: Callable[[str], None]) -> Iterator[None]:
    with _opened(UPGRADE_FILE) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{BUSY}; waiting for it.")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextmanager
def _opened(name: str) -> Iterator[int]:
    """Open a file of DATA_DIR to lock; closing it releases the lock."""
    Path(settings.DATA_DIR).mkdir(parents=True, exist_ok=True, mode=0o700)
    path = Path(settings.DATA_DIR) / name
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
