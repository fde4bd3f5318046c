"""Secrets that must be read back: AES-256-GCM bound to their table, column and row.

The key comes from ENCRYPTION_KEY or DATA_DIR, never from SECRET_KEY, so that changing the one
does not destroy the other. A sealed value moved to another row does not open (TRAPS 24).
"""

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

VERSION = "v1"
NONCE_BYTES = 12


class DecryptionError(Exception):
    """The value was sealed with another key, for another place, or has been changed."""


def seal(plaintext: str, *, place: str) -> str:
    """`plaintext` encrypted for `place` ("table.column:primary key") as `v1:base64`."""
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(settings.ENCRYPTION_KEY).encrypt(nonce, plaintext.encode(), place.encode())
    return f"{VERSION}:{base64.b64encode(nonce + sealed).decode()}"


def unseal(sealed: str, *, place: str) -> str:
    """The plaintext of seal(). Raises DecryptionError."""
    version, _, body = sealed.partition(":")
    if version != VERSION:
        raise DecryptionError(f"unknown seal version {version!r}")
    raw = base64.b64decode(body)
    try:
        opened = AESGCM(settings.ENCRYPTION_KEY).decrypt(
            raw[:NONCE_BYTES], raw[NONCE_BYTES:], place.encode()
        )
    except InvalidTag:
        raise DecryptionError(place) from None
    return opened.decode()
