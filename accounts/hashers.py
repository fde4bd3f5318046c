"""Argon2id at 19 MiB, two passes (OWASP's first choice for m=19), never more at once than cores."""

import os
import threading
from typing import Any

from django.contrib.auth.hashers import Argon2PasswordHasher

# A storm of sign-ins must not take the processor from everybody who is already in.
_hashing = threading.BoundedSemaphore(max(1, os.cpu_count() or 1))


class BoundedArgon2Hasher(Argon2PasswordHasher):
    """Argon2id m=19456 KiB t=2 p=1, about 15 ms a hash on a small box."""

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1

    def encode(self, *args: Any, **kwargs: Any) -> str:
        with _hashing:
            return str(super().encode(*args, **kwargs))

    def verify(self, password: str, encoded: str) -> bool:
        with _hashing:
            return bool(super().verify(password, encoded))
