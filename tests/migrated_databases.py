"""The migrated databases in memory: the first worker of a run makes them, the others copy them."""

import fcntl
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.db.backends.base.base import BaseDatabaseWrapper


def share_databases(connections: list[BaseDatabaseWrapper], folder: Path) -> None:
    """Let Django migrate these SQLite databases once for all processes that share `folder`."""
    for connection in connections:
        creation = connection.creation
        file = folder / f"{connection.alias}.sqlite3"
        shared = partial(_create, connection, creation.create_test_db, file)
        creation.create_test_db = shared  # type: ignore[method-assign]  # of this run only


def _create(
    connection: BaseDatabaseWrapper, create: Callable[..., str], file: Path, **options: Any
) -> str:
    """What create_test_db() does, by migrating or by copying. Returns the name of the database."""
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            name = create(**options)
            unfinished = file.with_suffix(".unfinished")
            with closing(sqlite3.connect(unfinished)) as copy:
                connection.connection.backup(copy)
            unfinished.rename(file)
            return name
    with patch("django.core.management.call_command"):  # migrate and createcachetable
        name = create(**options)
    with closing(sqlite3.connect(file)) as copy:
        copy.backup(connection.connection)
    return name
