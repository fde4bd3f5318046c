"""Has anything changed since? Asked before anything remembered is believed.

SQLite: the first bytes of the memory that all its processes share (the header of the WAL index,
sqlite.org/walformat.html) differ after every commit of whatever writes, and are read without a
system call. Where there is no such memory, PRAGMA data_version says the same for ten times as much.

PostgreSQL counts nothing of the kind. There it is eight bytes in DATA_DIR, which every process of
the host renews when it has committed, and the listener when another host has (sso.listening).
"""

import mmap
import threading
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from sso import listening, mapped
from sso.connecting import opened

# None: nobody can tell, so that nothing may be remembered.
Epoch = Hashable | None
WAL_HEADER = 48
# The number that SQLite itself puts there, in the byte order of the machine.
WAL_VERSIONS = {(3007000).to_bytes(4, "little"), (3007000).to_bytes(4, "big")}


@dataclass(slots=True)
class _Known:
    """What a thread knows of its SQLite connection. With slots it is read soonest.

    raw: kept so that its id is not given anew. number: of the memory, which belongs to the epoch,
    because another file may be put in the place of the database.
    """

    wrapper: BaseDatabaseWrapper
    raw: Any
    memory: mmap.mmap | None
    number: int


class _Here(threading.local):
    known: _Known | None = None


_here = _Here()


def current_epoch() -> Epoch:
    """Something that differs after every change of the database.

    All threads of a process see the same one, except without shared memory: then the connection is
    part of it, because each counts from elsewhere.
    """
    known = _here.known
    if known is None or known.wrapper.connection is not known.raw:
        wrapper = opened()
        if wrapper.vendor != "sqlite":
            return listening.shared_epoch()
        memory = _wal_memory(wrapper.connection)
        known = _here.known = _Known(wrapper, wrapper.connection, memory, id(memory))
    if known.memory is None:
        raw = known.raw
        return raw, raw.execute("PRAGMA data_version").fetchone()[0], raw.total_changes
    return known.number, known.memory[:WAL_HEADER]


def _wal_memory(raw: Any) -> mmap.mmap | None:
    """The memory of this connection's database; None when it has none (in memory, no WAL).

    While the connection is open SQLite neither removes nor shortens the file.
    """
    if raw.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        return None
    raw.execute("PRAGMA data_version").fetchone()  # a read: now the file is there
    path = raw.execute("PRAGMA database_list").fetchone()[2]
    try:
        memory = mapped.existing(Path(f"{path}-shm"), WAL_HEADER)
    except (OSError, ValueError):
        return None
    return memory if memory[:4] in WAL_VERSIONS else None
