"""Names that are understood so that a carried-over .env is quiet, and that have no effect yet.

Each becomes a Variable when what it governs is built. Until then a value gives one warning.
"""

from typing import NamedTuple


class LaterGroup(NamedTuple):
    """Names of one thing that this version does not do."""

    purpose: str
    origin: str
    names: tuple[str, ...]


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


LATER: tuple[LaterGroup, ...] = ()

LATER_NAMES = {name: group.purpose for group in LATER for name in group.names}


def later_purpose(name: str) -> str:
    """What `name` will govern, or nothing when it is no name of ours."""
    return LATER_NAMES.get(name, "")
