"""What a session is bound to, as Django has it, without its detours. Tests hold both together."""

import hmac
from datetime import datetime
from functools import lru_cache

from forward_auth.conf import options


def state_hash(password: str, credentials_valid_from: datetime | str) -> str:
    """What binds a session to its user: `credentials_valid_from` is as the database stores it."""
    return _bound(options().state_key, password, credentials_valid_from)


@lru_cache(maxsize=4096)
def _bound(key: bytes, password: str, credentials_valid_from: datetime | str) -> str:
    """Most sessions are of the same people."""
    written = (
        f"{credentials_valid_from.replace(' ', 'T')}+00:00"
        if isinstance(credentials_valid_from, str)
        else credentials_valid_from.isoformat()
    )
    return hmac.digest(key, f"{password}:{written}".encode(), "sha256").hex()
