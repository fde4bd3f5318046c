"""Rows that this process has read, reused until the database changes.

A request of the API that changes nothing is authenticated from rows that hardly ever change: the
key or the token family, its user, their bans. Inside reuse_rows() such a row is read once, and
again after the next change of any watched table (core.invalidation). The clock is not a part of
it: callers compare ends and bans with the time in each request. So a revocation counts at the next
request on the same host, and within a second on every other one, as for checks of proxies.
"""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from core.invalidation.data_version import DataVersion, current_data_version

# A row takes about two kilobytes. A full cache drops all its rows.
MAX_ROWS = 5_000
Row = tuple[Any, ...] | None
Key = tuple[Hashable, ...]

_may_reuse: ContextVar[bool] = ContextVar("gatehouse_may_reuse_rows", default=False)


class _Generation:
    """The rows of one data version.

    A thread that still reads the old data then writes into the old generation, which no one reads
    any more.
    """

    __slots__ = ("data_version", "rows")

    def __init__(self, data_version: DataVersion) -> None:
        self.data_version = data_version
        self.rows: dict[Key, Row] = {}


class _State:
    generation = _Generation(None)


@contextmanager
def reuse_rows(is_allowed: bool = True) -> Iterator[None]:
    """Inside the block, rows may be reused; only for requests that change nothing."""
    token = _may_reuse.set(is_allowed)
    try:
        yield
    finally:
        _may_reuse.reset(token)


def rows_here() -> dict[Key, Row] | None:
    """The rows that hold now; None outside reuse_rows(), and where changes cannot be seen.

    Take it before the row is read: what is read later is then never older than its version.
    """
    if not _may_reuse.get():
        return None
    version, generation = current_data_version(), _State.generation
    if version is None:
        return None
    if generation.data_version != version:
        generation = _State.generation = _Generation(version)
    if len(generation.rows) >= MAX_ROWS:
        generation.rows.clear()
    return generation.rows
