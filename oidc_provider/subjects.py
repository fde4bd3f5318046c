"""How an app is told who has signed in: `sub` and `sid`, the same or another one in each app.

A pairwise `sub` is a MAC of the user's id and the client id, which is the sector: one app is one
sector (OpenID Connect Core, section 8.1). Nothing is stored. The key is derived from ENCRYPTION_KEY
alone, so it stays when signing keys or JWT_REFRESH_SECRET are replaced. Pure but for that key.
"""

import base64
import hashlib
import hmac
import uuid
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from applications.models import PAIRWISE, App

KEY_PURPOSE = b"gatehouse pairwise subjects v1"


def subject_of(app: App, user_id: uuid.UUID) -> str:
    """What `sub` says to the app; the id of the user, unless the app gets pairwise ones."""
    return _told("sub", app, user_id)


def session_of(app: App, session_id: uuid.UUID) -> str:
    """What `sid` says to the app. Two apps of one browser session could compare it like `sub`."""
    return _told("sid", app, session_id)


def _told(kind: str, app: App, value: uuid.UUID) -> str:
    if app.subject_type != PAIRWISE:
        return str(value)
    # The first two have a fixed length, so no client id makes the content of another one.
    content = f"{kind}|{value.hex}|{app.client_id}".encode()
    mac = hmac.new(_key(settings.ENCRYPTION_KEY), content, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


@lru_cache(maxsize=4)
def _key(encryption_key: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=KEY_PURPOSE).derive(encryption_key)
