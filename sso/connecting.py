"""The database connection of this thread, without the detour that Django's proxy takes."""

import threading
from contextlib import suppress

from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper


class _Here(threading.local):
    """Django keeps one wrapper for each thread as long as the thread lives."""

    def __init__(self) -> None:
        self.wrapper: BaseDatabaseWrapper = connections[DEFAULT_DB_ALIAS]


_here = _Here()


def opened() -> BaseDatabaseWrapper:
    """This thread's connection, opened when it is not."""
    wrapper = _here.wrapper
    if wrapper.connection is None:
        wrapper.ensure_connection()
    return wrapper


def drop() -> None:
    """Close it after a fault, so that the next request begins with a new one."""
    wrapper = _here.wrapper
    if not wrapper.in_atomic_block:
        with suppress(Error):
            wrapper.close()
