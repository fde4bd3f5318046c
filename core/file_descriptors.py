"""The limit of open files and connections of this process."""

import resource
from typing import NamedTuple

# Open connections of a server process, including idle ones: browsers keep connections open.
CONNECTIONS = 8192
# For databases, logs, libraries, and what the system itself opens.
RESERVE = 256


class Shortage(NamedTuple):
    """allowed: descriptors that the system grants. wanted: what a full server process needs."""

    allowed: int
    wanted: int


def allow_all() -> None:
    """Raise the soft limit of this process, often 1,024, to the hard limit. Children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def shortage() -> Shortage | None:
    """The shortage under the hard limit, which the process cannot raise; None when it suffices."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + RESERVE
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        return None
    return Shortage(hard, wanted)
