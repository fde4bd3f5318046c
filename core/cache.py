"""The cache backend, for counters above all: one database table.

Django's DatabaseCache.incr reads and then writes (so two processes lose counts), resets the
expiry to five minutes, and counts the whole table on each write. Here each operation is one
statement. Values are JSON, so reading one never executes code.

MAX_ENTRIES bounds the table. Live entries are never evicted, because a limit whose counter is gone
is no limit. Expired entries are deleted first; core.web.client_groups then makes new clients share
counters while the table fills up. Shares of MAX_ENTRIES: a quarter for counters of single clients
and names, an eighth for those of networks, three eighths for growing waits and single-use markers,
a quarter for groups.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import connections, models

from core.models import CacheEntry
from core.web.client_groups import Crowd, NoRoom

TABLE = CacheEntry._meta.db_table
LIVE = "(expires_at IS NULL OR expires_at > %s)"
# TABLE is a constant, so the statements contain no input.
ADD = f"""INSERT INTO {TABLE} (cache_key, value, expires_at) VALUES (%s, %s, %s)
    ON CONFLICT (cache_key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at
    WHERE {TABLE}.expires_at <= %s RETURNING 1"""  # noqa: S608
SET = f"""INSERT INTO {TABLE} (cache_key, value, expires_at) VALUES (%s, %s, %s)
    ON CONFLICT (cache_key) DO UPDATE
    SET value = excluded.value, expires_at = excluded.expires_at"""  # noqa: S608
GET = f"SELECT value FROM {TABLE} WHERE cache_key = %s AND {LIVE}"  # noqa: S608
INCREMENT = f"""UPDATE {TABLE} SET value = CAST(CAST(value AS BIGINT) + %s AS TEXT)
    WHERE cache_key = %s AND {LIVE} RETURNING value"""  # noqa: S608
# Count in a window that starts with the first count and keeps its end.
HIT = f"""INSERT INTO {TABLE} (cache_key, value, expires_at) VALUES (%s, %s, %s)
    ON CONFLICT (cache_key) DO UPDATE SET
    value = CASE WHEN {TABLE}.expires_at <= %s THEN excluded.value
        ELSE CAST(CAST({TABLE}.value AS BIGINT) + %s AS TEXT) END,
    expires_at = CASE WHEN {TABLE}.expires_at <= %s THEN excluded.expires_at
        ELSE {TABLE}.expires_at END
    RETURNING value, expires_at"""  # noqa: S608
TOUCH = f"UPDATE {TABLE} SET expires_at = %s WHERE cache_key = %s AND {LIVE} RETURNING 1"  # noqa: S608
DELETE = f"DELETE FROM {TABLE} WHERE cache_key = %s RETURNING 1"  # noqa: S608
HIT_KNOWN = f"""UPDATE {TABLE} SET value = CAST(CAST(value AS BIGINT) + %s AS TEXT)
    WHERE cache_key = %s AND {LIVE} RETURNING value, expires_at"""  # noqa: S608
# Counts up to a maximum, so that a table far beyond its bound is no slower.
COUNT = f"SELECT COUNT(*) FROM (SELECT 1 FROM {TABLE} LIMIT %s) AS counted"  # noqa: S608
# Skips locked rows, so that no request waits, and keeps entries that were renewed meanwhile.
PURGE = f"""DELETE FROM {TABLE} WHERE expires_at <= %s AND cache_key IN (
    SELECT cache_key FROM {TABLE} WHERE expires_at <= %s ORDER BY expires_at LIMIT %s{{}})"""  # noqa: S608
BATCH = 1000
# How long the worker may delete expired entries, each minute.
PURGE_SECONDS = 10.0
# A process recounts the table after a hundredth of MAX_ENTRIES new entries of its own. While the
# table is crowded it also recounts after so many seconds.
RECOUNTS, RECOUNT_SECONDS = 100, 1.0
# How long shared counters are looked up after a crowd: no limit has a longer window.
MEMORY_SECONDS = 3600
# Fractions of MAX_ENTRIES: the groups of one scope, and the counters that a /16 or /32, and a /24
# or /48, may create in an hour once an eighth of the table is used. An eighth, plus all that one
# /32 can create, stays below a quarter.
GROUP_SHARE, WIDE_SHARE, NARROW_SHARE = 64, 20, 100
DELETE_VALUE = f"""DELETE FROM {TABLE} WHERE cache_key = %s AND value = %s AND {LIVE}
    RETURNING 1"""  # noqa: S608


def cache_alias() -> str:
    """The database alias of the cache: a separate SQLite file, or the main database."""
    return "cache" if "cache" in settings.DATABASES else "default"


class CacheRouter:
    """Routes the cache table, and nothing else, to the cache's database file."""

    # Not by anything else, and reads as writes; core.sql asks once for each model then.
    decides_by_model = True

    def db_for_read(self, model: type[models.Model], **_hints: Any) -> str | None:
        return cache_alias() if model is CacheEntry else None

    db_for_write = db_for_read

    def allow_migrate(
        self, db: str, app_label: str, model_name: str | None = None, **_hints: Any
    ) -> bool | None:
        if app_label == "core" and model_name == "cacheentry":
            return db == cache_alias()
        return False if db == "cache" else None


class _TableSize:
    """How full the table is, as this process knows it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rows: int | None = None
        self.new = 0
        self.counted_at = 0.0
        self.crowded_at: float | None = None

    def set(self, rows: int, *, is_busy: bool) -> None:
        self.rows, self.new, self.counted_at = rows, 0, time.time()
        if is_busy:
            self.crowded_at = time.time()

    def forget(self) -> None:
        self.rows, self.new, self.crowded_at = 0, 0, None


_table_size = _TableSize()


class AtomicDatabaseCache(BaseCache):
    """Django's cache protocol over CacheEntry; add() and incr() are atomic across processes."""

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._may_create = True

    @property
    def groups(self) -> int:
        """How many groups new clients share, for each scope, while the table is full."""
        return max(1, self._max_entries // GROUP_SHARE)

    @property
    def wide_share(self) -> int:
        """How many counters one /16 or /32 may create in an hour; see core.web.client_groups."""
        return max(1, self._max_entries // WIDE_SHARE)

    @property
    def narrow_share(self) -> int:
        """How many counters one /24 or /48 may create in an hour."""
        return max(1, self._max_entries // NARROW_SHARE)

    def crowd(self) -> Crowd:
        """How full the table is. Recounts from time to time; deletes expired entries when full."""
        rows = _table_size.rows
        is_due = rows is None or _table_size.new >= max(1, self._max_entries // RECOUNTS)
        if rows is not None and self._crowd_of(rows) is not Crowd.NONE:
            is_due = is_due or abs(time.time() - _table_size.counted_at) >= RECOUNT_SECONDS
        # One thread counts; the others use the last result.
        if is_due and _table_size.lock.acquire(blocking=rows is None):
            try:
                rows = self._recount()
            finally:
                _table_size.lock.release()
        return self._crowd_of((_table_size.rows if rows is None else rows) or 0)

    def was_crowded(self) -> bool:
        """Whether an eighth of the table was used in the last hour, so counters may be shared."""
        at = _table_size.crowded_at
        return at is not None and time.time() - at < MEMORY_SECONDS

    @contextmanager
    def only_known(self) -> Iterator[None]:
        """Inside the block, hit() and add() raise NoRoom instead of creating an entry."""
        self._may_create = False
        try:
            yield
        finally:
            self._may_create = True

    def add_mark(self, key: str, seconds: float) -> bool:
        """True for the first caller only; False for every caller while the table has no room."""
        return self.crowd() is not Crowd.CLOSED and self.add(key, 1, timeout=seconds)

    def _crowd_of(self, rows: int) -> Crowd:
        eighths = rows * 8 // self._max_entries
        if eighths < 2:
            return Crowd.NONE
        if eighths < 3:
            return Crowd.NETWORKS
        return Crowd.GROUPS if eighths < 6 else Crowd.CLOSED

    def _recount(self) -> int:
        rows = count_entries(self._max_entries)
        # In an open transaction, the locks of deleted rows would last until its end.
        is_free = not connections[cache_alias()].in_atomic_block
        if self._crowd_of(rows) is not Crowd.NONE and is_free and purge_batch(2 * BATCH):
            rows = count_entries(self._max_entries)
        _table_size.set(rows, is_busy=rows * 8 >= self._max_entries)
        return rows

    def add(
        self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        name = self.make_and_validate_key(key, version=version)
        if not self._may_create:
            if self._one(GET, [name, time.time()]) is None:
                raise NoRoom
            return False
        end = self.get_backend_timeout(timeout)
        is_new = self._one(ADD, [name, json.dumps(value), end, time.time()]) is not None
        _table_size.new += is_new
        return is_new

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
        """Add `delta` and keep the expiry; returns the sum. Raises ValueError without an entry."""
        name = self.make_and_validate_key(key, version=version)
        row = self._one(INCREMENT, [delta, name, time.time()])
        if row is None:
            raise ValueError(f"Key {key!r} not found")
        return int(row[0])

    def hit(self, key: str, seconds: float, amount: int = 1) -> tuple[int, float]:
        """Add `amount` in the window of `key`; returns the count and the end (Unix time)."""
        name = self.make_and_validate_key(key)
        now = time.time()
        if not self._may_create:
            row = self._one(HIT_KNOWN, [amount, name, now])
            if row is None:
                raise NoRoom
            return int(row[0]), float(row[1])
        row = self._one(HIT, [name, str(amount), now + seconds, now, amount, now])
        if row is None:
            raise RuntimeError("the database did not count")
        count = int(row[0])
        _table_size.new += count == amount
        return count, float(row[1])

    def delete_value(self, key: str, value: Any) -> bool:
        """Delete the entry if its value is `value`; returns whether it was."""
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
        _table_size.forget()

    def _one(self, statement: str, values: list[Any]) -> tuple[Any, ...] | None:
        with connections[cache_alias()].cursor() as cursor:
            cursor.execute(statement, values)
            row: tuple[Any, ...] | None = cursor.fetchone()
        return row

    def _run(self, statement: str, values: list[Any]) -> None:
        with connections[cache_alias()].cursor() as cursor:
            cursor.execute(statement, values)


def count_entries(most: int) -> int:
    """The number of entries, at most `most`."""
    with connections[cache_alias()].cursor() as cursor:
        cursor.execute(COUNT, [most])
        return int(cursor.fetchone()[0])


def purge_batch(limit: int = BATCH) -> int:
    """Delete up to `limit` expired entries; returns how many."""
    connection = connections[cache_alias()]
    lock = " FOR UPDATE SKIP LOCKED" if connection.vendor == "postgresql" else ""
    now = time.time()
    with connection.cursor() as cursor:
        cursor.execute(PURGE.format(lock), [now, now, limit])
        return int(cursor.rowcount)


def purge_expired(seconds: float = PURGE_SECONDS, limit: int = BATCH) -> int:
    """Delete expired entries in batches for about `seconds` at most; returns how many."""
    until = time.monotonic() + seconds
    deleted = 0
    while True:
        batch = purge_batch(limit)
        deleted += batch
        if batch < limit or time.monotonic() >= until:
            return deleted
