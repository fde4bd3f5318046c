"""Argon2id at 19 MiB, two passes (OWASP's first choice for m=19); a core is left to the rest."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from itertools import count
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher

from core import metrics

FOLDER = "hashing"


def hashes_at_once() -> int:
    """So many over all processes of this DATA_DIR: the cores that we may use but one, or one."""
    can_tell = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if can_tell else os.cpu_count() or 1
    return max(1, cores - 1)


# A storm of sign-ins must not take the processor from everybody who is already in. Threads of one
# process queue here, so that each process waits for others with few of them.
_hashing = threading.BoundedSemaphore(hashes_at_once())
_turns = count(os.getpid())


@contextmanager
def _turn() -> Iterator[None]:
    """Wait for a free core, and let monitoring see who waits and how long."""
    began = time.perf_counter_ns()
    metrics.add(*metrics.HASHES_WAITING)
    place: IO[bytes] | None = None
    try:
        _hashing.acquire()
        try:
            place = _place(hashes_at_once())
        except BaseException:
            _hashing.release()
            raise
    finally:
        metrics.add(*metrics.HASHES_WAITING, by=-1)
    metrics.add("hashes_waited", by=(time.perf_counter_ns() - began) // 1000)
    metrics.add(*metrics.HASHES_RUNNING)
    try:
        yield
    finally:
        if place is not None:
            place.close()
        _hashing.release()
        metrics.add(*metrics.HASHES_RUNNING, by=-1)
        metrics.add("hashes")


def _place(places: int) -> IO[bytes] | None:
    """One of the places that all processes share; its file, locked until it is closed.

    Locks of files, because the system takes them back from a process that is killed. Without a
    folder to write to, each process counts for itself.
    """
    first = next(_turns)
    with suppress(OSError):
        for number in range(places):
            file = _open((first + number) % places)
            try:
                flock(file, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                file.close()
            else:
                return file
        file = _open(first % places)
        flock(file, LOCK_EX)
        return file
    return None


def _open(place: int) -> IO[bytes]:
    folder = Path(settings.DATA_DIR) / FOLDER
    folder.mkdir(exist_ok=True)
    return (folder / str(place)).open("ab")


class BoundedArgon2Hasher(Argon2PasswordHasher):
    """Argon2id m=19456 KiB t=2 p=1, about 15 ms a hash on a small box."""

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1

    def encode(self, *args: Any, **kwargs: Any) -> str:
        with _turn():
            return str(super().encode(*args, **kwargs))

    def verify(self, password: str, encoded: str) -> bool:
        with _turn():
            return bool(super().verify(password, encoded))
