"""Has anything changed since? Asked before anything remembered is believed.

What is watched belongs to the very connection by which checks read, and to nothing else: each call
looks at that one first. Where that cannot be proved, nothing may be remembered.

SQLite: the first bytes of the memory that all its processes share (the header of the WAL index,
sqlite.org/walformat.html) differ after every commit of whatever writes, and are read without a
system call. Where there is no such memory, or it may be another file's, PRAGMA data_version says
the same of its own connection for ten times as much.

PostgreSQL counts nothing of the kind. There it is eight bytes in DATA_DIR, which every process of
the host renews when it has committed, and the listener (listening.py) when another host has.
"""

import mmap
from asyncio import _get_running_loop
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from forward_auth import db_connection, pg_listener, shared_memory
from forward_auth.sqlitefile import FileConnection, identity, is_shared_here

# None: nobody can tell, so that nothing may be remembered.
Epoch = Hashable | None
WAL_HEADER = 48
# The number that SQLite itself puts there, in the byte order of the machine.
WAL_VERSIONS = {(3007000).to_bytes(4, "little"), (3007000).to_bytes(4, "big")}


@dataclass(slots=True)
class _Known:
    """What a thread knows of a connection. With slots it is read soonest.

    wrapper: Django's; the one of this thread, which stays. raw: the connection itself, which is
    kept so that its id is not given anew. memory: of SQLite. number: of the memory, which belongs
    to the epoch, because another file may be put in the place of the database. server: of
    PostgreSQL.
    """

    wrapper: BaseDatabaseWrapper
    raw: Any
    memory: mmap.mmap | None
    number: int
    server: pg_listener.Server | None


def current_epoch() -> Epoch:
    """Something that differs after every change of the database.

    All threads of a process see the same one, except without shared memory: then the connection is
    part of it, because each counts from elsewhere. None within a transaction of our own, which
    reads what nobody else sees and may be undone.
    """
    here: Any = db_connection._here
    known = here.watched
    # What opened() would give, without the calls: nearly every check ends here.
    if known is not None and known.memory is not None:
        raw = known.raw
        if known.wrapper.connection is raw and _get_running_loop() is None:
            return None if raw.in_transaction else (known.number, known.memory[:WAL_HEADER])
    wrapper = db_connection.opened()
    raw = wrapper.connection
    is_sqlite = wrapper.vendor == "sqlite"
    if not is_sqlite and (wrapper.in_atomic_block or not wrapper.autocommit):
        return None
    if known is None or known.raw is not raw:
        known = _sqlite(wrapper, raw) if is_sqlite else _postgresql(wrapper, raw)
        if here.wrapper is wrapper:
            here.watched = known
    if known.memory is not None:
        return None if raw.in_transaction else (known.number, known.memory[:WAL_HEADER])
    if not is_sqlite:
        return pg_listener.shared_epoch(known.server)
    # Undoing counts nothing, but leaves a savepoint or the transaction.
    place = (wrapper.in_atomic_block, *wrapper.savepoint_ids)
    return raw, raw.execute("PRAGMA data_version").fetchone()[0], raw.total_changes, place


def _sqlite(wrapper: BaseDatabaseWrapper, raw: Any) -> _Known:
    memory = _wal_memory(raw)
    return _Known(wrapper, raw, memory, id(memory), None)


def _postgresql(wrapper: BaseDatabaseWrapper, raw: Any) -> _Known:
    return _Known(wrapper, raw, None, 0, pg_listener.server_of(raw))


def _wal_memory(raw: Any) -> mmap.mmap | None:
    """The memory of this connection's database; None when it has none (in memory, no WAL), and when
    that of its path is not proved to be its own.

    While the connection is open SQLite neither removes nor shortens the file.
    """
    if not isinstance(raw, FileConnection) or raw.file is None:
        return None
    if raw.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        return None
    raw.execute("PRAGMA data_version").fetchone()  # a read: now the file is there
    path = raw.execute("PRAGMA database_list").fetchone()[2]
    shared = f"{path}-shm"
    try:
        memory = shared_memory.existing(Path(shared), WAL_HEADER)
        # Looked at last, so that whatever was moved meanwhile is seen.
        is_its_own = is_shared_here(shared) and raw.file == identity(path)
    except (OSError, ValueError):
        return None
    return memory if is_its_own and memory[:4] in WAL_VERSIONS else None
