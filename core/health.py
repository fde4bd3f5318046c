"""Health of the services that the server needs. Each check returns a bool and raises nothing."""

from django.core.cache import caches
from django.db import connection
from django.db.migrations.executor import MigrationExecutor


def database_answers() -> bool:
    """Whether the database responds."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception:  # any error of the driver means "not ready"
        return False
    return True


def counters_answer() -> bool:
    """Whether the counters of the rate limits can be written and read."""
    store = caches["counters"]
    try:
        store.set("health", 1, 10)
        return bool(store.get("health") == 1)
    except Exception:  # any error of the driver means "not ready"
        return False


def is_migrated() -> bool:
    """Whether all migrations have been applied."""
    try:
        executor = MigrationExecutor(connection)
        return not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Exception:  # any error of the driver means "not ready"
        return False
