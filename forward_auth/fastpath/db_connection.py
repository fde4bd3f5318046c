"""The database connection of this thread, without the cost of Django's proxy object."""

import threading
from asyncio import _get_running_loop
from contextlib import suppress
from typing import Any

from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper


class _Here(threading.local):
    """Django keeps one wrapper for each thread while the thread lives.

    watched: what forward_auth.invalidation.data_version knows of the connection.
    """

    wrapper: BaseDatabaseWrapper | None = None
    watched: Any = None


_here = _Here()


def opened() -> BaseDatabaseWrapper:
    """Return this thread's connection; opens it if needed."""
    wrapper = _wrapper()
    if wrapper.connection is None:
        wrapper.ensure_connection()
    return wrapper


def drop() -> None:
    """Close the connection after a failure, so that the next request opens a new one."""
    wrapper = _wrapper()
    if not wrapper.in_atomic_block:
        with suppress(Error):
            wrapper.close()


def drop_broken() -> bool:
    """Close a connection that broke, as in a restart or failover of PostgreSQL; True if one did.

    False for any other failure, and if no connection could be opened: a retry would not help.
    """
    wrapper = _wrapper()
    raw: Any = wrapper.connection
    if raw is None or wrapper.vendor != "postgresql" or not raw.closed:
        return False
    drop()
    return wrapper.connection is None


def _wrapper() -> BaseDatabaseWrapper:
    """The wrapper that Django would return.

    In a thread that runs an event loop Django returns a different one, so none is remembered.
    """
    if _get_running_loop() is not None:
        return connections[DEFAULT_DB_ALIAS]
    here = _here
    wrapper = here.wrapper
    if wrapper is None:
        wrapper = here.wrapper = connections[DEFAULT_DB_ALIAS]
    return wrapper
