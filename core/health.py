"""Whether what the server needs answers; each check is True or False and raises nothing."""

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor


def database_answers() -> bool:
    """Does the database answer?"""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception:  # any fault of the driver means "not ready"
        return False
    return True


def counters_answer() -> bool:
    """Do the counters of the limits keep what they are given? They stand in the database."""
    return _keeps(caches["counters"])


def cache_answers() -> bool:
    """Does the cache keep what it is given? It is Redis with CACHE_URL, else the counters."""
    return _keeps(caches["default"])


def _keeps(store: BaseCache) -> bool:
    try:
        store.set("health", 1, 10)
        return bool(store.get("health") == 1)
    except Exception:  # any fault of the driver means "not ready"
        return False


def is_migrated() -> bool:
    """Is no migration missing?"""
    try:
        executor = MigrationExecutor(connection)
        return not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Exception:  # any fault of the driver means "not ready"
        return False
