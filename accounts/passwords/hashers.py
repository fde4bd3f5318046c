"""Password hashes: Argon2id, and those of imported accounts until their next sign-in.

A limit on how many hashes run at once leaves a core free for users who are signed in, and the
threads that hash have a lower priority than those that respond.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import IO, Any, TypeVar

from django.conf import settings
from django.contrib.auth.hashers import (
    Argon2PasswordHasher,
    BCryptPasswordHasher,
    PBKDF2PasswordHasher,
)

from accounts.passwords.imported_hashes import BCRYPT_BYTES, MAX_BCRYPT_COST, MAX_PBKDF2_ITERATIONS
from core import metrics, tracing

FOLDER = "hashing"
# A tenth of the share of other threads: beside a program that wants every core, a hash still takes
# less than a second.
NICE = 10
Result = TypeVar("Result")


def hashes_at_once() -> int:
    """The limit over all processes with this DATA_DIR: the usable cores minus one, at least 1."""
    knows_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if knows_affinity else os.cpu_count() or 1
    return max(1, cores - 1)


_next_slot = count(os.getpid())


@cache
def _threads() -> ThreadPoolExecutor:
    """The threads of this process that hash: as many as may hash at once. Others wait in line."""
    return ThreadPoolExecutor(hashes_at_once(), "hashing", initializer=_lower_priority)


# A child of fork() has none of its parent's threads.
os.register_at_fork(after_in_child=_threads.cache_clear)


def _lower_priority() -> None:
    """Let the checks and pages of users who are signed in go before the hashes of this thread.

    A thread has a priority of its own on Linux only; elsewhere the number of a thread may be that
    of any process.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICE))


def _hash(work: Callable[[], Result]) -> Result:
    """Call `work` in a thread that hashes, once it is its turn; returns what it returns."""
    began = time.perf_counter_ns()
    metrics.add(*metrics.HASHES_WAITING)
    with tracing.span("hash password"):
        try:
            future = _threads().submit(_take_turn, began, work)
        except BaseException:
            metrics.add(*metrics.HASHES_WAITING, by=-1)
            raise
        return future.result()


def _take_turn(began: int, work: Callable[[], Result]) -> Result:
    with _hash_slot(began):
        return work()


@contextmanager
def _hash_slot(began: int) -> Iterator[None]:
    """Wait for a free slot; metrics count how many wait, and how long since `began`, in ns."""
    try:
        lock_file = _lock_slot(hashes_at_once())
    finally:
        metrics.add(*metrics.HASHES_WAITING, by=-1)
    metrics.add("hashes_waited", by=(time.perf_counter_ns() - began) // 1000)
    metrics.add(*metrics.HASHES_RUNNING)
    try:
        yield
    finally:
        if lock_file is not None:
            lock_file.close()
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
        return str(_hash(partial(super().encode, *args, **kwargs)))

    def verify(self, password: str, encoded: str) -> bool:
        return bool(_hash(partial(super().verify, password, encoded)))


class BoundedPBKDF2Hasher(PBKDF2PasswordHasher):
    """Verifies PBKDF2 of Django, up to the cost that an import accepts."""

    def verify(self, password: str, encoded: str) -> bool:
        if int(self.decode(encoded)["iterations"]) > MAX_PBKDF2_ITERATIONS:
            return False
        return bool(_hash(partial(super().verify, password, encoded)))


class BoundedBCryptHasher(BCryptPasswordHasher):
    """Verifies bcrypt of LibreChat and Mage, up to the cost that an import accepts."""

    def verify(self, password: str, encoded: str) -> bool:
        if int(self.decode(encoded)["work_factor"]) > MAX_BCRYPT_COST:
            return False
        typed = password.encode()
        # bcrypt would ignore what follows its 72 bytes, or a NUL.
        if len(typed) > BCRYPT_BYTES or b"\0" in typed:
            return False
        return bool(_hash(partial(super().verify, password, encoded)))
