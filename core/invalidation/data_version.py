"""The database connection of this thread, and whether the database has changed.

The version is asked before anything cached is used. It belongs to the very connection by which
checks read. Where that cannot be verified, nothing may be cached.

SQLite: the first bytes of the memory that its processes share (the header of the WAL index,
sqlite.org/walformat.html) change with every commit of any process, and are read without a system
call. Where there is no such memory, or it may belong to another file, PRAGMA data_version says the
same about its own connection for ten times the cost.

PostgreSQL has no such counter: see core.invalidation.postgresql.
"""

import mmap
import threading
from asyncio import _get_running_loop
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from core.invalidation import postgresql
from core.invalidation.sqlite import (
    FileConnection,
    identity,
    is_shared_here,
    map_existing,
)

# None: unwatched, so nothing may be cached.
DataVersion = Hashable | None
WAL_HEADER = 48
# The version that SQLite writes there, in the byte order of the machine.
WAL_VERSIONS = {(3007000).to_bytes(4, "little"), (3007000).to_bytes(4, "big")}


@dataclass(slots=True)
class _Watched:
    """What a thread knows of its connection. Slots make it fast to read.

    wrapper: Django's wrapper of this thread. raw: the connection itself; holding it keeps its id
    from being reused. memory: of SQLite. number: identifies the memory, and is a part of the
    version, because the database file may be replaced. server: of PostgreSQL.
    """

    wrapper: BaseDatabaseWrapper
    raw: Any
    memory: mmap.mmap | None
    number: int
    server: postgresql.Server | None

    def version(self) -> DataVersion:
        """What current_data_version() is outside of a transaction, for any thread.

        None once the connection was closed, and where only its own thread can tell.
        """
        if self.wrapper.connection is not self.raw:
            return None
        if self.memory is not None:
            return self.number, self.memory[:WAL_HEADER]
        return None if self.server is None else postgresql.shared_data_version(self.server)


class _LocalState(threading.local):
    """The wrapper of a thread, which Django keeps while the thread lives.

    watched: what is known of the connection.
    """

    wrapper: BaseDatabaseWrapper | None = None
    watched: _Watched | None = None


_local_state = _LocalState()


def current_data_version() -> DataVersion:
    """A value that differs after every change of the database.

    All threads of a process get the same value, except without shared memory: then the connection
    is a part of it, because each has a counter of its own. None within a transaction, which reads
    what no one else sees and may be rolled back.
    """
    here = _local_state
    watched = here.watched
    # Like opened(), without its calls: nearly every check returns here.
    if watched is not None and watched.memory is not None:
        raw = watched.raw
        if watched.wrapper.connection is raw and _get_running_loop() is None:
            return None if raw.in_transaction else (watched.number, watched.memory[:WAL_HEADER])
    wrapper = opened()
    raw = wrapper.connection
    is_sqlite = wrapper.vendor == "sqlite"
    if not is_sqlite and (wrapper.in_atomic_block or not wrapper.autocommit):
        return None
    if watched is None or watched.raw is not raw:
        memory = _wal_memory(raw) if is_sqlite else None
        server = None if is_sqlite else postgresql.server_of(raw)
        watched = _Watched(wrapper, raw, memory, id(memory), server)
        if here.wrapper is wrapper:
            here.watched = watched
    if watched.memory is not None:
        return None if raw.in_transaction else (watched.number, watched.memory[:WAL_HEADER])
    if not is_sqlite:
        return postgresql.shared_data_version(watched.server)
    # A rollback changes no counter, but it leaves a savepoint or the transaction.
    transaction = (wrapper.in_atomic_block, *wrapper.savepoint_ids)
    return raw, raw.execute("PRAGMA data_version").fetchone()[0], raw.total_changes, transaction


def watch() -> Callable[[], DataVersion] | None:
    """A function that tells the version to a thread without a connection, which reads no rows.

    It belongs to the connection of the calling thread. None where nothing can be told.
    """
    watched = _local_state.watched
    if watched is None or watched.wrapper.connection is not watched.raw:
        current_data_version()
        watched = _local_state.watched
    return None if watched is None else watched.version


def _wal_memory(raw: Any) -> mmap.mmap | None:
    """The shared memory of this connection's database.

    None when there is none (in-memory database, no WAL), and when the memory at its path may belong
    to another file. SQLite neither removes nor shortens the file while the connection is open.
    """
    if not isinstance(raw, FileConnection) or raw.file is None:
        return None
    if raw.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        return None
    raw.execute("PRAGMA data_version").fetchone()  # a read: now the file is there
    path = raw.execute("PRAGMA database_list").fetchone()[2]
    shared = f"{path}-shm"
    try:
        memory = map_existing(Path(shared), WAL_HEADER)
        # Checked last, to notice a file that was moved meanwhile.
        is_its_own = is_shared_here(shared) and raw.file == identity(path)
    except (OSError, ValueError):
        return None
    return memory if is_its_own and memory[:4] in WAL_VERSIONS else None


def opened() -> BaseDatabaseWrapper:
    """Return this thread's connection; opens it if needed."""
    wrapper = _wrapper()
    if wrapper.connection is None:
        wrapper.ensure_connection()
    return wrapper


def drop() -> None:
    """Close the connection after a failure, so that the next request opens a new one."""
    wrapper = _wrapper()
    if not wrapper.in_atomic_block:
        with suppress(Error):
            wrapper.close()


def drop_broken() -> bool:
    """Close a connection that broke, as in a restart or failover of PostgreSQL; True if one did.

    False for any other failure, and if no connection could be opened: a retry would not help.
    """
    wrapper = _wrapper()
    raw: Any = wrapper.connection
    if raw is None or wrapper.vendor != "postgresql" or not raw.closed:
        return False
    drop()
    return wrapper.connection is None


def _wrapper() -> BaseDatabaseWrapper:
    """The wrapper that Django would return.

    In a thread that runs an event loop Django returns a different one, so none is remembered.
    """
    if _get_running_loop() is not None:
        return connections[DEFAULT_DB_ALIAS]
    here = _local_state
    wrapper = here.wrapper
    if wrapper is None:
        wrapper = here.wrapper = connections[DEFAULT_DB_ALIAS]
    return wrapper
