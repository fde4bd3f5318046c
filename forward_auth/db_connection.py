"""The database connection of this thread, without the detour that Django's proxy takes."""

import threading
from asyncio import _get_running_loop
from contextlib import suppress
from typing import Any

from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper


class _Here(threading.local):
    """Django keeps one wrapper for each thread as long as the thread lives.

    watched: what forward_auth.data_version knows of a connection.
    """

    wrapper: BaseDatabaseWrapper | None = None
    watched: Any = None


_here = _Here()


def opened() -> BaseDatabaseWrapper:
    """This thread's connection, opened when it is not."""
    wrapper = _wrapper()
    if wrapper.connection is None:
        wrapper.ensure_connection()
    return wrapper


def drop() -> None:
    """Close it after a fault, so that the next request begins with a new one."""
    wrapper = _wrapper()
    if not wrapper.in_atomic_block:
        with suppress(Error):
            wrapper.close()


def drop_broken() -> bool:
    """Was it cut, as by a restart or a failover of PostgreSQL? Then close what is left of it.

    A fault of another kind, and a new connection that cannot be made, are no reason to try again.
    """
    wrapper = _wrapper()
    raw: Any = wrapper.connection
    if raw is None or wrapper.vendor != "postgresql" or not raw.closed:
        return False
    drop()
    return wrapper.connection is None


def _wrapper() -> BaseDatabaseWrapper:
    """The one that Django would give.

    While a thread runs an event loop, that is another one than before, and nothing is kept of it.
    """
    if _get_running_loop() is not None:
        return connections[DEFAULT_DB_ALIAS]
    here = _here
    wrapper = here.wrapper
    if wrapper is None:
        wrapper = here.wrapper = connections[DEFAULT_DB_ALIAS]
    return wrapper
