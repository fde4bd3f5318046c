"""A stored session, read without Django's detours, which cost more than the look-up itself.

Only content that the present SECRET_KEY has signed is read here; the rest is left to Django. Tests
hold both functions against Django's.
"""

import base64
import hashlib
import hmac
import json
import zlib
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.conf import settings

from accounts.sessions import SessionStore

SESSION_SALT = f"{SessionStore().key_salt}signer"
# As User._get_session_auth_hash has it.
STATE_SALT = "accounts.User.session"


@lru_cache(maxsize=4096)
def decoded(text: str) -> dict[str, Any]:
    """The content of a session; {} when its signature is not ours."""
    value, _colon, signature = text.rpartition(":")
    made = hmac.digest(_key(SESSION_SALT, settings.SECRET_KEY), value.encode(), "sha256")
    if not hmac.compare_digest(base64.urlsafe_b64encode(made).rstrip(b"="), signature.encode()):
        found: dict[str, Any] = SessionStore().decode(text)
        return found
    packed = value.partition(":")[0]
    content = base64.urlsafe_b64decode(packed.lstrip(".") + "=" * (-len(packed.lstrip(".")) % 4))
    content = zlib.decompress(content) if packed.startswith(".") else content
    signed: dict[str, Any] = json.loads(content.decode("latin-1"))
    return signed


def state_hash(password: str, not_before: datetime) -> str:
    """What binds a session to its person's password and mark."""
    state = f"{password}:{not_before.isoformat()}".encode()
    return hmac.digest(_key(STATE_SALT, settings.SECRET_KEY), state, "sha256").hex()


@lru_cache(maxsize=8)
def _key(salt: str, secret: str) -> bytes:
    """The key that Django's salted_hmac() derives."""
    return hashlib.sha256(f"{salt}{secret}".encode()).digest()
