"""The counters of every instance, and the cache of one without Redis: one table, nothing lost.

Django's DatabaseCache.incr reads and then writes (two processes lose counts), resets the entry's
life to five minutes, and counts the whole table on each write. Here each act is one statement.
Values are JSON: nothing that comes out of this table is ever executed.
"""

import json
import time
from typing import Any

from django.conf import settings
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import connections, models

from config.models import CacheEntry

TABLE = CacheEntry._meta.db_table
LIVE = "(expires_at IS NULL OR expires_at > %s)"
# TABLE is a constant of ours, so the statements hold no foreign text.
ADD = f"""INSERT INTO {TABLE} (cache_key, value, expires_at) VALUES (%s, %s, %s)
    ON CONFLICT (cache_key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at
    WHERE {TABLE}.expires_at <= %s RETURNING 1"""  # noqa: S608
SET = f"""INSERT INTO {TABLE} (cache_key, value, expires_at) VALUES (%s, %s, %s)
    ON CONFLICT (cache_key) DO UPDATE
    SET value = excluded.value, expires_at = excluded.expires_at"""  # noqa: S608
GET = f"SELECT value FROM {TABLE} WHERE cache_key = %s AND {LIVE}"  # noqa: S608
INCREMENT = f"""UPDATE {TABLE} SET value = CAST(CAST(value AS BIGINT) + %s AS TEXT)
    WHERE cache_key = %s AND {LIVE} RETURNING value"""  # noqa: S608
# Count one more in a window that begins with its first one and keeps its end.
HIT = f"""INSERT INTO {TABLE} (cache_key, value, expires_at) VALUES (%s, '1', %s)
    ON CONFLICT (cache_key) DO UPDATE SET
    value = CASE WHEN {TABLE}.expires_at <= %s THEN '1'
        ELSE CAST(CAST({TABLE}.value AS BIGINT) + 1 AS TEXT) END,
    expires_at = CASE WHEN {TABLE}.expires_at <= %s THEN excluded.expires_at
        ELSE {TABLE}.expires_at END
    RETURNING value, expires_at"""  # noqa: S608
TOUCH = f"UPDATE {TABLE} SET expires_at = %s WHERE cache_key = %s AND {LIVE} RETURNING 1"  # noqa: S608
DELETE = f"DELETE FROM {TABLE} WHERE cache_key = %s RETURNING 1"  # noqa: S608
DELETE_VALUE = f"""DELETE FROM {TABLE} WHERE cache_key = %s AND value = %s AND {LIVE}
    RETURNING 1"""  # noqa: S608


def cache_alias() -> str:
    """The database that holds the cache: a SQLite file of its own, or the main one."""
    return "cache" if "cache" in settings.DATABASES else "default"


class CacheRouter:
    """Sends the cache's table, and nothing else, to the cache's own database file."""

    def db_for_read(self, model: type[models.Model], **_hints: Any) -> str | None:
        return cache_alias() if model is CacheEntry else None

    db_for_write = db_for_read

    def allow_migrate(
        self, db: str, app_label: str, model_name: str | None = None, **_hints: Any
    ) -> bool | None:
        if app_label == "config":
            return db == cache_alias()
        return False if db == "cache" else None


class AtomicDatabaseCache(BaseCache):
    """Django's cache protocol over CacheEntry; add() and incr() are atomic across processes."""

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def add(
        self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        name = self.make_and_validate_key(key, version=version)
        end = self.get_backend_timeout(timeout)
        return self._one(ADD, [name, json.dumps(value), end, time.time()]) is not None

    def set(
        self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        name = self.make_and_validate_key(key, version=version)
        self._run(SET, [name, json.dumps(value), self.get_backend_timeout(timeout)])

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        name = self.make_and_validate_key(key, version=version)
        row = self._one(GET, [name, time.time()])
        return default if row is None else json.loads(row[0])

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        """Add `delta`, keep the entry's end, return the sum. ValueError when there is no entry."""
        name = self.make_and_validate_key(key, version=version)
        row = self._one(INCREMENT, [delta, name, time.time()])
        if row is None:
            raise ValueError(f"Key {key!r} not found")
        return int(row[0])

    def hit(self, key: str, seconds: float) -> tuple[int, float]:
        """Count one more in the window of `key`: the count, and the window's end (Unix time)."""
        name = self.make_and_validate_key(key)
        now = time.time()
        row = self._one(HIT, [name, now + seconds, now, now])
        if row is None:
            raise RuntimeError("the database did not count")
        return int(row[0]), float(row[1])

    def delete_value(self, key: str, value: Any) -> bool:
        """Delete the entry if `value` is what it holds; was it so?"""
        name = self.make_and_validate_key(key)
        return self._one(DELETE_VALUE, [name, json.dumps(value), time.time()]) is not None

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        name = self.make_and_validate_key(key, version=version)
        end = self.get_backend_timeout(timeout)
        return self._one(TOUCH, [end, name, time.time()]) is not None

    def delete(self, key: str, version: int | None = None) -> bool:
        name = self.make_and_validate_key(key, version=version)
        return self._one(DELETE, [name]) is not None

    def clear(self) -> None:
        CacheEntry.objects.all().delete()

    def _one(self, statement: str, values: list[Any]) -> tuple[Any, ...] | None:
        with connections[cache_alias()].cursor() as cursor:
            cursor.execute(statement, values)
            row: tuple[Any, ...] | None = cursor.fetchone()
        return row

    def _run(self, statement: str, values: list[Any]) -> None:
        with connections[cache_alias()].cursor() as cursor:
            cursor.execute(statement, values)


def purge_expired(limit: int = 1000) -> int:
    """Delete up to `limit` entries past their end; returns how many."""
    old = CacheEntry.objects.filter(expires_at__lt=time.time()).values("pk")[:limit]
    return CacheEntry.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()[0]
