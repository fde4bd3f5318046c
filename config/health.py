"""Liveness and readiness probes, as plain JSON without sign-in or details."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from core.health import cache_answers, counters_answer, database_answers, is_migrated


@require_safe
def live(_request: HttpRequest) -> JsonResponse:
    """200 while the process answers; checks nothing else."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(_request: HttpRequest) -> JsonResponse:
    """200 when everything required answers, else 503 naming the failed part.

    The cache in Redis is optional, because limits and bans are in the database. Without it the
    answer is 200 and "degraded", so that a working server stays in service.
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
