"""Is the process alive, and are the things it needs there? Plain JSON, no sign-in, no detail."""

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe


@require_safe
def live(_request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers; asks nothing else."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(_request: HttpRequest) -> JsonResponse:
    """200 when all that people need is there, else 503 naming the part.

    The cache in Redis is not needed: limits and bans stand in the database. Without it the answer
    is 200 and "degraded", so that nobody takes a server out that works.
    """
    needed = {
        "database": database_answers(),
        "counters": counters_answer(),
        "migrations": is_migrated(),
    }
    parts = needed | {"cache": cache_answers()}
    is_ready = all(needed.values())
    whole = "ok" if all(parts.values()) else "degraded"
    body = {
        "status": whole if is_ready else "unavailable",
        "parts": {name: "ok" if good else "unavailable" for name, good in parts.items()},
    }
    headers = {} if is_ready else {"Retry-After": "5"}
    return JsonResponse(body, status=200 if is_ready else 503, headers=headers)


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
