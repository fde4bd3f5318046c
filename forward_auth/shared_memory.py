"""A few bytes of a file as memory that all processes of a host share.

A file that was mapped stays open for good. SQLite's file may only be treated so: closing any
handle of it would take away the locks of this process (sqlite.org/howtocorrupt.html, 2.2).
"""

import mmap
import os
import threading
from pathlib import Path

LENGTH = 8
# A new one comes when the last connection of a process was closed, which no server does by itself.
MOST = 64
_lock = threading.Lock()
_maps: dict[tuple[int, int], mmap.mmap] = {}


def existing(path: Path, length: int) -> mmap.mmap:
    """The first `length` bytes of the file that is there now, to be read. Raises OSError.

    It is opened once only, whatever its number of readers: see above.
    """
    found = path.stat()
    with _lock:
        mapped = _maps.get((found.st_dev, found.st_ino))
        if mapped is None:
            if len(_maps) >= MOST:
                raise OSError(f"{MOST} files are open already")
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            found = os.fstat(handle)
            mapped = mmap.mmap(handle, length, prot=mmap.PROT_READ)
            _maps[(found.st_dev, found.st_ino)] = mapped
    if not os.path.samestat(found, path.stat()):
        raise FileNotFoundError(f"{path} was replaced while it was opened")
    return mapped


def own(path: Path) -> tuple[mmap.mmap, os.stat_result]:
    """LENGTH bytes of a file of ours, to be read and written, and which file that is.

    It is made when missing. Raises OSError.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(handle).st_size < LENGTH:
            os.ftruncate(handle, LENGTH)
        return mmap.mmap(handle, LENGTH), os.fstat(handle)
    finally:
        os.close(handle)
