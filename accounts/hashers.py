"""Argon2id at 19 MiB, two passes (OWASP's first choice for m=19), never more at once than cores."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.hashers import Argon2PasswordHasher

from accounts import tally

# A storm of sign-ins must not take the processor from everybody who is already in.
_hashing = threading.BoundedSemaphore(max(1, os.cpu_count() or 1))


@contextmanager
def _turn() -> Iterator[None]:
    """Wait for a free core, and let monitoring see who waits and how long."""
    began = time.perf_counter_ns()
    tally.add(*tally.HASHES_WAITING)
    try:
        _hashing.acquire()
    finally:
        tally.add(*tally.HASHES_WAITING, by=-1)
    tally.add("hashes_waited", by=(time.perf_counter_ns() - began) // 1000)
    tally.add(*tally.HASHES_RUNNING)
    try:
        yield
    finally:
        _hashing.release()
        tally.add(*tally.HASHES_RUNNING, by=-1)
        tally.add("hashes")


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
