"""A few bytes of a file as memory that all processes of a host share.

A mapped file stays open until the process ends. SQLite's file requires it: closing any handle of
the file would release the locks of this process (sqlite.org/howtocorrupt.html, 2.2).
"""

import mmap
import os
import threading
from pathlib import Path

LENGTH = 8
# SQLite makes a new file after the last connection was closed, which no server does by itself.
MAX_FILES = 64
_lock = threading.Lock()
_maps: dict[tuple[int, int], mmap.mmap] = {}


def map_existing(path: Path, length: int) -> mmap.mmap:
    """Map the first `length` bytes of an existing file for reading. Raises OSError.

    The file is opened once for all readers; see the module docstring.
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


def map_own(path: Path) -> tuple[mmap.mmap, os.stat_result]:
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
