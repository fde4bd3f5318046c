"""Is the process alive, and are the things it needs there? Plain JSON, no sign-in, no detail."""

from django.core.cache import cache
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
    """200 when database and cache answer and no migration is missing, else 503 naming the part."""
    parts = {"database": database_answers(), "cache": cache_answers(), "migrations": is_migrated()}
    is_ready = all(parts.values())
    body = {
        "status": "ok" if is_ready else "unavailable",
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


def cache_answers() -> bool:
    """Does the cache keep what it is given?"""
    try:
        cache.set("health", 1, 10)
        return bool(cache.get("health") == 1)
    except Exception:  # any fault of the driver means "not ready"
        return False


def is_migrated() -> bool:
    """Is no migration missing?"""
    try:
        executor = MigrationExecutor(connection)
        return not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Exception:  # any fault of the driver means "not ready"
        return False
