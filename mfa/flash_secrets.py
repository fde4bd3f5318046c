"""Keeps new recovery codes, encrypted in the session, for the page that shows them once."""

from collections.abc import Sequence

from django.contrib.sessions.backends.base import SessionBase

from core.crypto import session_values

KEY = "_new_recovery_codes"


def put(session: SessionBase, codes: Sequence[str]) -> None:
    """Keep codes for the next page; does nothing without codes."""
    if codes:
        session_values.put(session, KEY, list(codes))


def take(session: SessionBase) -> list[str]:
    """Remove and return the codes; [] if there are none."""
    return session_values.take(session, KEY) or []
