"""Who may change the whole database now: one upgrade at a time, and none under a running server.

PostgreSQL keeps the lock itself, for all nodes; with SQLite it is a lock on a file of DATA_DIR.
Both end with the process that holds them, however it ends.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from django.conf import settings
from django.db import connection

from operations.errors import OperationError
from operations.postgres import connect

UPGRADE_FILE = "upgrade.lock"
SERVING_FILE = "serving.lock"
# Any number that nobody else uses in this database.
ADVISORY_NUMBER = 6_042_317_259_481
LOCK_NAME = "gatehouse upgrade lock"
STOP_FIRST = "Stop the server (all of them, if there are several), then try again."
# Who else is connected. Other processes that wait for the lock above do no work yet.
OTHERS = """SELECT coalesce(nullif(application_name, ''), 'a program'), client_addr::text
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND usename IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
    AND application_name <> %s ORDER BY 1, 2"""


def say_nothing(_text: str) -> None:
    """For who has nobody to tell."""


@contextmanager
def alone(say: Callable[[str], None] = say_nothing) -> Iterator[None]:
    """Hold the lock of upgrades inside the block; waits for who has it, and says so."""
    holder = _advisory_lock if connection.vendor == "postgresql" else _file_lock
    with holder(say):
        yield


@contextmanager
def serving() -> Iterator[None]:
    """Note that a server runs over this DATA_DIR; any number may at once."""
    with _opened(SERVING_FILE) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


def require_stopped() -> None:
    """Raise OperationError while a server runs over this database."""
    with _opened(SERVING_FILE) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OperationError(f"Gatehouse is running over this data. {STOP_FIRST}") from None
    if connection.vendor == "postgresql":
        _require_nobody_connected()


def others_connected(database: psycopg.Connection) -> list[str]:
    """Programs that are connected to the same PostgreSQL database, with their addresses."""
    found = database.execute(OTHERS, [LOCK_NAME]).fetchall()
    return [f"{name} from {address}" if address else str(name) for name, address in found]


def _require_nobody_connected() -> None:
    connection.close()  # our own is none of the others
    with connect(connection.settings_dict) as database:
        others = others_connected(database)
    if others:
        raise OperationError(f"The database is in use by: {', '.join(others[:5])}. {STOP_FIRST}")


@contextmanager
def _advisory_lock(say: Callable[[str], None]) -> Iterator[None]:
    """On a connection of its own, so that nothing that the work does lets go of it."""
    with connect(connection.settings_dict, application_name=LOCK_NAME, autocommit=True) as database:
        taken = database.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY_NUMBER]).fetchone()
        if taken != (True,):
            say("Another process brings the database up to date; waiting for it.")
            database.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_NUMBER])
        yield


@contextmanager
def _file_lock(say: Callable[[str], None]) -> Iterator[None]:
    with _opened(UPGRADE_FILE) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another process brings the database up to date; waiting for it.")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextmanager
def _opened(name: str) -> Iterator[int]:
    """A file of DATA_DIR to lock; closing it lets go."""
    Path(settings.DATA_DIR).mkdir(parents=True, exist_ok=True, mode=0o700)
    path = Path(settings.DATA_DIR) / name
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
