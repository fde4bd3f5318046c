"""Password hashes: Argon2id, and those of imported accounts until their next sign-in.

A limit on how many hashes run at once leaves a core free for users who are signed in.
"""

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
from django.contrib.auth.hashers import (
    Argon2PasswordHasher,
    BCryptPasswordHasher,
    PBKDF2PasswordHasher,
)

from accounts.passwords.imported_hashes import BCRYPT_BYTES, MAX_BCRYPT_COST, MAX_PBKDF2_ITERATIONS
from core import metrics

FOLDER = "hashing"


def hashes_at_once() -> int:
    """The limit over all processes with this DATA_DIR: the usable cores minus one, at least 1."""
    knows_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if knows_affinity else os.cpu_count() or 1
    return max(1, cores - 1)


# A burst of sign-ins must not starve users who are signed in. Threads of one process queue here
# first, so that only a few of them wait for other processes.
_semaphore = threading.BoundedSemaphore(hashes_at_once())
_next_slot = count(os.getpid())


@contextmanager
def _hash_slot() -> Iterator[None]:
    """Wait for a free slot; metrics count how many wait, and how long."""
    began = time.perf_counter_ns()
    metrics.add(*metrics.HASHES_WAITING)
    lock_file: IO[bytes] | None = None
    try:
        _semaphore.acquire()
        try:
            lock_file = _lock_slot(hashes_at_once())
        except BaseException:
            _semaphore.release()
            raise
    finally:
        metrics.add(*metrics.HASHES_WAITING, by=-1)
    metrics.add("hashes_waited", by=(time.perf_counter_ns() - began) // 1000)
    metrics.add(*metrics.HASHES_RUNNING)
    try:
        yield
    finally:
        if lock_file is not None:
            lock_file.close()
        _semaphore.release()
        metrics.add(*metrics.HASHES_RUNNING, by=-1)
        metrics.add("hashes")


def _lock_slot(slots: int) -> IO[bytes] | None:
    """Lock one of the slots that all processes share; returns its file, locked until closed.

    File locks, because the system releases them when a process is killed. Where the folder cannot
    be written to, returns None and each process limits itself alone.
    """
    first = next(_next_slot)
    with suppress(OSError):
        for number in range(slots):
            file = _open_slot((first + number) % slots)
            try:
                flock(file, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                file.close()
            else:
                return file
        file = _open_slot(first % slots)
        flock(file, LOCK_EX)
        return file
    return None


def _open_slot(slot: int) -> IO[bytes]:
    folder = Path(settings.DATA_DIR) / FOLDER
    folder.mkdir(exist_ok=True)
    return (folder / str(slot)).open("ab")


class BoundedArgon2Hasher(Argon2PasswordHasher):
    """Argon2id, m=19456 KiB, t=2, p=1 (OWASP): about 15 ms a hash on a small server."""

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1

    def encode(self, *args: Any, **kwargs: Any) -> str:
        with _hash_slot():
            return str(super().encode(*args, **kwargs))

    def verify(self, password: str, encoded: str) -> bool:
        with _hash_slot():
            return bool(super().verify(password, encoded))


class BoundedPBKDF2Hasher(PBKDF2PasswordHasher):
    """Verifies PBKDF2 of Django, up to the cost that an import accepts."""

    def verify(self, password: str, encoded: str) -> bool:
        if int(self.decode(encoded)["iterations"]) > MAX_PBKDF2_ITERATIONS:
            return False
        with _hash_slot():
            return bool(super().verify(password, encoded))


class BoundedBCryptHasher(BCryptPasswordHasher):
    """Verifies bcrypt of LibreChat and Mage, up to the cost that an import accepts."""

    def verify(self, password: str, encoded: str) -> bool:
        if int(self.decode(encoded)["work_factor"]) > MAX_BCRYPT_COST:
            return False
        typed = password.encode()
        # bcrypt would ignore what follows its 72 bytes, or a NUL.
        if len(typed) > BCRYPT_BYTES or b"\0" in typed:
            return False
        with _hash_slot():
            return bool(super().verify(password, encoded))
