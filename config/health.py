"""What probes read, without sign-in: /health/live and /health/ready."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from core.health import counters_answer, database_answers, is_migrated


@require_safe
def live(_request: HttpRequest) -> JsonResponse:
    """200 while the process answers; checks nothing else."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(_request: HttpRequest) -> JsonResponse:
    """200 when all parts answer, else 503 naming the failed ones."""
    parts = {
        "database": database_answers(),
        "counters": counters_answer(),
        "migrations": is_migrated(),
    }
    is_ready = all(parts.values())
    body = {
        "status": "ok" if is_ready else "unavailable",
        "parts": {name: "ok" if good else "unavailable" for name, good in parts.items()},
    }
    headers = {} if is_ready else {"Retry-After": "5"}
    return JsonResponse(body, status=200 if is_ready else 503, headers=headers)
