"""Refuses to run with another ENCRYPTION_KEY than the one that encrypted this database.

The database stores a fingerprint of the key. Without it, a wrong key would show only when a second
factor, a queued mail or a signing key cannot be decrypted, and new values would be written beside
the old ones meanwhile.
"""

from hashlib import sha256

from django.conf import settings
from django.db import connection

from core.errors import GatehouseError
from core.models import NamedLock

FINGERPRINT = "encryption-key"
# Plain SQL, because the database may be older than the models.
FORGET_SQL = f"DELETE FROM core_namedlock WHERE name = '{FINGERPRINT}'"  # noqa: S608
NOTE_SQL = f"INSERT INTO core_namedlock (name, seq, hash) VALUES ('{FINGERPRINT}', 0, '{{}}')"  # noqa: S608
MISMATCH = (
    "ENCRYPTION_KEY is not the key that encrypted this database. Bring that key back: the database "
    "and its key (DATA_DIR/secrets/encryption_key, unless ENCRYPTION_KEY or ENCRYPTION_KEY_FILE is "
    "set) belong together. Nothing was changed. If the key is lost, run `manage.py upgrade "
    "--other-key`: second factors, waiting mail and signing keys are lost then."
)


class EncryptionKeyMismatch(GatehouseError):
    """The database was encrypted with another ENCRYPTION_KEY than this process has."""

    def __init__(self) -> None:
        super().__init__(MISMATCH)


def make_fingerprint(key: bytes) -> str:
    """32 hexadecimal digits that identify the key, which cannot be derived from them."""
    return sha256(b"gatehouse backup key mark:" + key).hexdigest()[:32]


def require_same_key() -> None:
    """Raise EncryptionKeyMismatch when the database is known to use another key.

    A database without a fingerprint, or without any table, is accepted.
    """
    if NamedLock._meta.db_table not in connection.introspection.table_names():
        return
    known = NamedLock.objects.filter(pk=FINGERPRINT).values_list("hash", flat=True).first()
    if known is None or known == make_fingerprint(settings.ENCRYPTION_KEY):
        return
    raise EncryptionKeyMismatch


def note_key() -> None:
    """Store the fingerprint of the current key, if the database has none. Safe under races."""
    NamedLock.objects.get_or_create(
        pk=FINGERPRINT, defaults={"hash": make_fingerprint(settings.ENCRYPTION_KEY)}
    )


def forget_key() -> None:
    """Delete the fingerprint of a lost key, so that note_key() stores the current one."""
    NamedLock.objects.filter(pk=FINGERPRINT).delete()
