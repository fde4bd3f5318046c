"""Has anything changed since? Asked before anything remembered is believed.

SQLite counts every commit of other connections itself (PRAGMA data_version), and this connection
counts its own changes; so whatever writes, by whatever way, empties the tables of every process of
the host at its next request.
"""

from typing import Any

from django.db import connection

Epoch = tuple[Any, int, int]


def current_epoch() -> Epoch:
    """Something that differs after every change of the database.

    The connection itself is part of it: another one counts from elsewhere.
    """
    connection.ensure_connection()
    raw: Any = connection.connection
    return raw, raw.execute("PRAGMA data_version").fetchone()[0], raw.total_changes
