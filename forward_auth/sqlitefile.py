"""SQLite connections that know which file they have opened, and make it for this user alone.

Loaded by the settings: no Django.
"""

import os
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

Identity = tuple[int, int]
MAPPINGS = "/proc/self/maps"


class FileConnection(sqlite3.Connection):
    """A connection to the file that its path names.

    file: its device and inode; None when they cannot be told: no file, one that was made just now,
    or another before it was opened than after.
    """

    file: Identity | None

    def __init__(self, database: Any, *arguments: Any, **options: Any) -> None:
        before = identity(database)
        if before is None:
            _make_private(database)
        super().__init__(database, *arguments, **options)
        self.file = before if before == identity(database) else None


def _make_private(path: Any) -> None:
    """Make an empty file that nobody else can read, whatever the umask; SQLite gives the files that
    it keeps beside it the same rights. Nothing happens for a name that is no path."""
    if not isinstance(path, str | os.PathLike) or str(path).startswith((":", "file:")):
        return
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def identity(path: Any) -> Identity | None:
    """Device and inode of what the path names now; None for nothing."""
    try:
        found = os.stat(path)
    except (OSError, TypeError, ValueError):
        return None
    return found.st_dev, found.st_ino


def is_shared_here(path: str) -> bool:
    """Does SQLite share memory with other processes by the file that `path` names now?

    The system tells each piece of memory of this process by the name that its file has now: one
    that was deleted or moved has another. SQLite alone writes there; our own piece is only read.
    Raises OSError on systems that do not tell.
    """
    with open(MAPPINGS, encoding="utf-8", errors="surrogateescape") as lines:
        return _is_written(path, lines)


def _is_written(path: str, lines: Iterable[str]) -> bool:
    """proc_pid_maps(5): address, permissions, offset, device, inode, path."""
    for line in lines:
        parts = line.rstrip("\n").split(None, 5)
        if len(parts) == 6 and parts[1] == "rw-s" and parts[5] == path:
            return True
    return False
