"""The counters of every instance, and the cache of one without Redis: one table, nothing lost.

Django's DatabaseCache.incr reads and then writes (two processes lose counts), resets the entry's
life to five minutes, and counts the whole table on each write. Here each act is one statement.
Values are JSON: nothing that comes out of this table is ever executed.

The table is bounded by MAX_ENTRIES. Nothing in force is evicted for that, since a counter that is
gone is a limit that is open. What has ended goes at once, and accounts.crowds counts newcomers
together while there are too many. The shares of MAX_ENTRIES: a quarter for counters of single
clients and names, an eighth for those of networks, three eighths for what follows from these (waits
that grow) and for marks of what works once, a quarter for groups.
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

from accounts.crowds import Crowd, NoRoom
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
HIT_KNOWN = f"""UPDATE {TABLE} SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT)
    WHERE cache_key = %s AND {LIVE} RETURNING value, expires_at"""  # noqa: S608
# At most so many are counted: a table that is overfull by far is no slower.
COUNT = f"SELECT COUNT(*) FROM (SELECT 1 FROM {TABLE} LIMIT %s) AS counted"  # noqa: S608
# Whoever counts at this moment is passed by, so that nobody waits for anybody; an entry that has
# begun anew since it was found stays.
PURGE = f"""DELETE FROM {TABLE} WHERE expires_at <= %s AND cache_key IN (
    SELECT cache_key FROM {TABLE} WHERE expires_at <= %s ORDER BY expires_at LIMIT %s{{}})"""  # noqa: S608
BATCH = 1000
# The worker goes on for so long, every minute.
PURGE_SECONDS = 10.0
# A process counts the table after so many new entries of its own, and while it is crowded after
# this many seconds.
RECOUNTS, RECOUNT_SECONDS = 100, 1.0
# Shared counters are looked for that long after: windows of limits are no longer.
MEMORY_SECONDS = 3600
# Of MAX_ENTRIES, the share of one scope's groups; and what a /16 or /32, a /24 or /48 may make in
# an hour once an eighth is there. An eighth, and what one /32 makes with the counts of its /48s,
# stay below a quarter.
GROUP_SHARE, WIDE_SHARE, NARROW_SHARE = 64, 20, 100
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


class _Fill:
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


_fill = _Fill()


class AtomicDatabaseCache(BaseCache):
    """Django's cache protocol over CacheEntry; add() and incr() are atomic across processes."""

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._is_making = True

    @property
    def groups(self) -> int:
        """How many groups of strangers each scope has while the table is full."""
        return max(1, self._max_entries // GROUP_SHARE)

    @property
    def wide_share(self) -> int:
        """How many counters one /16 or /32 may make in an hour; see accounts.crowds."""
        return max(1, self._max_entries // WIDE_SHARE)

    @property
    def narrow_share(self) -> int:
        """The same of one /24 or /48."""
        return max(1, self._max_entries // NARROW_SHARE)

    def crowd(self) -> Crowd:
        """How full the table is. Counts it now and then, and clears away what has ended if full."""
        rows = _fill.rows
        is_due = rows is None or _fill.new >= max(1, self._max_entries // RECOUNTS)
        if rows is not None and self._crowd_of(rows) is not Crowd.NONE:
            is_due = is_due or abs(time.time() - _fill.counted_at) >= RECOUNT_SECONDS
        # One thread counts; the others go by what is known.
        if is_due and _fill.lock.acquire(blocking=rows is None):
            try:
                rows = self._recount()
            finally:
                _fill.lock.release()
        return self._crowd_of((_fill.rows if rows is None else rows) or 0)

    def was_crowded(self) -> bool:
        """Is an eighth of the table used, or was it while counters may still be in force?"""
        at = _fill.crowded_at
        return at is not None and time.time() - at < MEMORY_SECONDS

    @contextmanager
    def only_known(self) -> Iterator[None]:
        """Inside, hit() and add() raise NoRoom rather than make an entry."""
        self._is_making = False
        try:
            yield
        finally:
            self._is_making = True

    def add_mark(self, key: str, seconds: float) -> bool:
        """True for the first caller alone. While there is no room for marks nobody is the first."""
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
        # Within somebody's transaction, the locks of what is deleted would last as long as that.
        is_free = not connections[cache_alias()].in_atomic_block
        if self._crowd_of(rows) is not Crowd.NONE and is_free and purge_batch(2 * BATCH):
            rows = count_entries(self._max_entries)
        _fill.set(rows, is_busy=rows * 8 >= self._max_entries)
        return rows

    def add(
        self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        name = self.make_and_validate_key(key, version=version)
        if not self._is_making:
            if self._one(GET, [name, time.time()]) is None:
                raise NoRoom
            return False
        end = self.get_backend_timeout(timeout)
        is_new = self._one(ADD, [name, json.dumps(value), end, time.time()]) is not None
        _fill.new += is_new
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
        if not self._is_making:
            row = self._one(HIT_KNOWN, [name, now])
            if row is None:
                raise NoRoom
            return int(row[0]), float(row[1])
        row = self._one(HIT, [name, now + seconds, now, now])
        if row is None:
            raise RuntimeError("the database did not count")
        count = int(row[0])
        _fill.new += count == 1
        return count, float(row[1])

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
        _fill.forget()

    def _one(self, statement: str, values: list[Any]) -> tuple[Any, ...] | None:
        with connections[cache_alias()].cursor() as cursor:
            cursor.execute(statement, values)
            row: tuple[Any, ...] | None = cursor.fetchone()
        return row

    def _run(self, statement: str, values: list[Any]) -> None:
        with connections[cache_alias()].cursor() as cursor:
            cursor.execute(statement, values)


def count_entries(most: int) -> int:
    """How many entries there are, or `most` when there are more."""
    with connections[cache_alias()].cursor() as cursor:
        cursor.execute(COUNT, [most])
        return int(cursor.fetchone()[0])


def purge_batch(limit: int = BATCH) -> int:
    """Delete up to `limit` entries past their end; returns how many."""
    connection = connections[cache_alias()]
    lock = " FOR UPDATE SKIP LOCKED" if connection.vendor == "postgresql" else ""
    now = time.time()
    with connection.cursor() as cursor:
        cursor.execute(PURGE.format(lock), [now, now, limit])
        return int(cursor.rowcount)


def purge_expired(seconds: float = PURGE_SECONDS, limit: int = BATCH) -> int:
    """Delete all entries past their end, by batches, for at most about `seconds`; how many."""
    until = time.monotonic() + seconds
    deleted = 0
    while True:
        batch = purge_batch(limit)
        deleted += batch
        if batch < limit or time.monotonic() >= until:
            return deleted
