"""Announces each committed write to the tables that checks read (PostgreSQL).

It wraps the cursors of every connection, so it notices services, the admin, commands and plain SQL
alike. SQLite does not need it: see forward_auth.invalidation.data_version.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from accounts.models import BrowserSession, User
from api.models import ApiKey, SigningKey, TokenFamily
from forward_auth.invalidation.pg_listener import CHANNEL, announce_change
from forward_auth.models import AccessRule, ForwardAuthCookie
from mfa.models import Authenticator
from moderation.models import Ban

MODELS = (User, Authenticator, BrowserSession, Ban, ApiKey, TokenFamily, SigningKey, AccessRule,
          ForwardAuthCookie)  # fmt: skip
TABLES = tuple(model._meta.db_table for model in MODELS)
# Statements with lists of values are long, and each is different, so caching them is useless.
MAX_CACHED_LENGTH = 2_000
Execute = Callable[[Any, Any, bool, dict[str, Any]], Any]


def install() -> None:
    """Watch every connection that is opened from now on."""
    connection_created.connect(_watch, dispatch_uid="forward_auth.invalidation.change_tracking")


def _watch(connection: BaseDatabaseWrapper, **_of_signal: Any) -> None:
    if connection.vendor != "postgresql" or connection.alias != DEFAULT_DB_ALIAS:
        return
    if note_write not in connection.execute_wrappers:
        connection.execute_wrappers.append(note_write)


def note_write(execute: Execute, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Run the statement. Announce a write to other hosts with its commit, to this host after it."""
    result = execute(sql, params, many, context)
    if is_write(str(sql)):
        _announce(context["connection"])
    return result


def is_write(sql: str) -> bool:
    """Whether the statement may change one of the TABLES."""
    return _is_known_write(sql) if len(sql) <= MAX_CACHED_LENGTH else _is_write(sql)


@lru_cache(maxsize=2048)
def _is_known_write(sql: str) -> bool:
    return _is_write(sql)


def _is_write(sql: str) -> bool:
    first = sql.lstrip()[:6].upper()
    return first != "SELECT" and any(table in sql for table in TABLES)


def _announce(connection: BaseDatabaseWrapper) -> None:
    # Both are rolled back together with a savepoint, so one for each transaction is enough.
    waiting: list[Any] = connection.run_on_commit
    if any(entry[1] is announce_change for entry in waiting):
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
    if connection.in_atomic_block:
        # First, because Django skips the remaining callbacks when one of them fails.
        waiting.insert(0, (set(connection.savepoint_ids), announce_change, True))
    else:
        announce_change()
