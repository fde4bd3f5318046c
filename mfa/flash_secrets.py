"""Keeps new recovery codes, encrypted in the session, for the page that shows them once."""

import json
from collections.abc import Sequence

from django.contrib.sessions.backends.base import SessionBase

from core.crypto.encryption import DecryptionError, decrypt, encrypt

KEY, ASSOCIATED_DATA = "_new_recovery_codes", "session._new_recovery_codes"


def put(session: SessionBase, codes: Sequence[str]) -> None:
    """Keep codes for the next page; does nothing without codes."""
    if codes:
        session[KEY] = encrypt(json.dumps(list(codes)), ASSOCIATED_DATA)


def take(session: SessionBase) -> list[str]:
    """Remove and return the codes; [] if there are none."""
    encrypted = session.pop(KEY, None)
    if not isinstance(encrypted, str):
        return []
    try:
        return [str(code) for code in json.loads(decrypt(encrypted, ASSOCIATED_DATA))]
    except DecryptionError:
        return []
