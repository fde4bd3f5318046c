"""New recovery codes on their way to the one page that shows them, encrypted in the session."""

import json
from collections.abc import Sequence

from django.contrib.sessions.backends.base import SessionBase

from core.encryption import DecryptionError, decrypt, encrypt

KEY, ASSOCIATED_DATA = "_new_recovery_codes", "session._new_recovery_codes"


def put(session: SessionBase, codes: Sequence[str]) -> None:
    """Keep codes for the next page; nothing when there are none."""
    if codes:
        session[KEY] = encrypt(json.dumps(list(codes)), ASSOCIATED_DATA)


def take(session: SessionBase) -> list[str]:
    """The codes, which are forgotten by this; [] when there are none."""
    encrypted = session.pop(KEY, None)
    if not isinstance(encrypted, str):
        return []
    try:
        return [str(code) for code in json.loads(decrypt(encrypted, ASSOCIATED_DATA))]
    except DecryptionError:
        return []
