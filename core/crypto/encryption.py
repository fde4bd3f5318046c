"""Encryption of secrets that must be read back: AES-256-GCM, bound to table, column and row.

The key comes from ENCRYPTION_KEY or DATA_DIR, never from SECRET_KEY, so that you can change one
without losing the other. A value that was copied to another row does not decrypt (TRAPS 24).
"""

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

VERSION = "v1"
NONCE_BYTES = 12


class DecryptionError(Exception):
    """The value was changed, or encrypted with another key or other associated data."""


def encrypt(plaintext: str, associated_data: str) -> str:
    """Encrypt `plaintext`; returns `v1:base64`.

    associated_data: where the value is stored, as "table.column:primary key".
    """
    nonce = os.urandom(NONCE_BYTES)
    body = AESGCM(settings.ENCRYPTION_KEY).encrypt(
        nonce, plaintext.encode(), associated_data.encode()
    )
    return f"{VERSION}:{base64.b64encode(nonce + body).decode()}"


def decrypt(encrypted: str, associated_data: str) -> str:
    """The plaintext of encrypt(). Raises DecryptionError."""
    version, _, body = encrypted.partition(":")
    if version != VERSION:
        raise DecryptionError(f"unknown version {version!r}")
    raw = base64.b64decode(body)
    try:
        plaintext = AESGCM(settings.ENCRYPTION_KEY).decrypt(
            raw[:NONCE_BYTES], raw[NONCE_BYTES:], associated_data.encode()
        )
    except InvalidTag:
        raise DecryptionError(associated_data) from None
    return plaintext.decode()
