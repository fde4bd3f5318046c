"""SQLite files: which one a connection has opened, and the memory that its processes share.

Imported by the settings, so it imports no Django.
"""

import mmap
import os
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

Identity = tuple[int, int]
MAPPINGS = "/proc/self/maps"
# SQLite makes a new file after the last connection was closed, which no server does by itself.
MAX_FILES = 64
_lock = threading.Lock()
_maps: dict[Identity, mmap.mmap] = {}


class FileConnection(sqlite3.Connection):
    """A connection to the file that its path names.

    file: device and inode, or None when they are uncertain: no file, a new file, or a file that was
    replaced while it was opened.
    """

    file: Identity | None

    def __init__(self, database: Any, *arguments: Any, **options: Any) -> None:
        before = identity(database)
        if before is None:
            _make_private(database)
        super().__init__(database, *arguments, **options)
        self.file = before if before == identity(database) else None


def _make_private(path: Any) -> None:
    """Create an empty file that only its owner can read, whatever the umask.

    SQLite gives its further files the same permissions. Does nothing for a name that is no path.
    """
    if not isinstance(path, str | os.PathLike) or str(path).startswith((":", "file:")):
        return
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def identity(path: Any) -> Identity | None:
    """Device and inode of the file at `path`, or None."""
    try:
        found = os.stat(path)
    except (OSError, TypeError, ValueError):
        return None
    return found.st_dev, found.st_ino


def is_shared_here(path: str) -> bool:
    """Whether SQLite shares memory with other processes by the file that is now at `path`.

    The system lists the memory of this process by the present names of the mapped files; a file
    that was deleted or moved has another name. SQLite's mapping is writable, our own is
    read-only. Raises OSError on systems without such a list.
    """
    with open(MAPPINGS, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            # proc_pid_maps(5): address, permissions, offset, device, inode, path.
            parts = line.rstrip("\n").split(None, 5)
            if len(parts) == 6 and parts[1] == "rw-s" and parts[5] == path:
                return True
    return False


def map_existing(path: Path, length: int) -> mmap.mmap:
    """Map the first `length` bytes of an existing file for reading. Raises OSError.

    The file stays open until the process ends: closing any handle of it would release the locks of
    this process (sqlite.org/howtocorrupt.html, 2.2). So it is opened once for all readers.
    """
    found = path.stat()
    with _lock:
        mapped = _maps.get((found.st_dev, found.st_ino))
        if mapped is None:
            if len(_maps) >= MAX_FILES:
                raise OSError(f"{MAX_FILES} files are open already")
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            found = os.fstat(handle)
            mapped = mmap.mmap(handle, length, prot=mmap.PROT_READ)
            _maps[(found.st_dev, found.st_ino)] = mapped
    if not os.path.samestat(found, path.stat()):
        raise FileNotFoundError(f"{path} was replaced while it was opened")
    return mapped
