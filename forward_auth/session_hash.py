"""What a session is bound to, as Django has it, without its detours. Tests hold both together."""

import hmac
from datetime import datetime
from functools import lru_cache

from forward_auth.conf import options


def state_hash(password: str, not_before: datetime | str) -> str:
    """What binds a session to its person's password and mark; `not_before` as it is stored."""
    return _bound(options().state_key, password, not_before)


@lru_cache(maxsize=4096)
def _bound(key: bytes, password: str, not_before: datetime | str) -> str:
    """Most sessions are of the same people."""
    written = (
        f"{not_before.replace(' ', 'T')}+00:00"
        if isinstance(not_before, str)
        else not_before.isoformat()
    )
    return hmac.digest(key, f"{password}:{written}".encode(), "sha256").hex()
