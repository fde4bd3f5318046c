"""How many files and connections this process may hold open at once."""

import resource
from typing import NamedTuple

# Open connections of a server process, idle ones too: browsers keep some, and some send nothing.
CONNECTIONS = 8192
# Databases, logs, libraries and what the system itself opens.
BESIDES = 256


class Shortage(NamedTuple):
    """allowed: descriptors that the system grants; wanted: what a full server process needs."""

    allowed: int
    wanted: int


def allow_all() -> None:
    """Raise this process's own bound as far as the system lets it: often it begins with 1,024.

    Children inherit it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def shortage() -> Shortage | None:
    """What is missing for CONNECTIONS, by the bound that no process can raise by itself."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + BESIDES
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        return None
    return Shortage(hard, wanted)
