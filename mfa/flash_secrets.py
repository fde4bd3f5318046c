"""New recovery codes on their way to the one page that shows them, sealed in the session."""

import json
from collections.abc import Sequence

from django.contrib.sessions.backends.base import SessionBase

from core.encryption import DecryptionError, seal, unseal

KEY, PLACE = "_new_recovery_codes", "session._new_recovery_codes"


def put(session: SessionBase, codes: Sequence[str]) -> None:
    """Keep codes for the next page; nothing when there are none."""
    if codes:
        session[KEY] = seal(json.dumps(list(codes)), place=PLACE)


def take(session: SessionBase) -> list[str]:
    """The codes, which are forgotten by this; [] when there are none."""
    sealed = session.pop(KEY, None)
    if not isinstance(sealed, str):
        return []
    try:
        return [str(code) for code in json.loads(unseal(sealed, place=PLACE))]
    except DecryptionError:
        return []
