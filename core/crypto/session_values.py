"""Values that a session keeps encrypted, so that its row in the database reveals nothing."""

import json
from typing import Any

from django.contrib.sessions.backends.base import SessionBase

from core.crypto.encryption import DecryptionError, decrypt, encrypt


def put(session: SessionBase, key: str, value: Any, *, owner: object = "") -> None:
    """Keep `value`, which JSON can hold. owner: only get() with the same owner returns it."""
    session[key] = encrypt(json.dumps(value), _associated_data(key, owner))


def get(session: SessionBase, key: str, *, owner: object = "") -> Any:
    """The value; None if there is none, or if it cannot be decrypted."""
    encrypted = session.get(key)
    if not isinstance(encrypted, str):
        return None
    try:
        return json.loads(decrypt(encrypted, _associated_data(key, owner)))
    except (DecryptionError, ValueError):
        return None


def take(session: SessionBase, key: str) -> Any:
    """See get(); also removes the value."""
    value = get(session, key)
    session.pop(key, None)
    return value


def _associated_data(key: str, owner: object) -> str:
    return f"session.{key}:{owner}" if owner else f"session.{key}"
