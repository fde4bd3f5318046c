"""What monitoring sees of checks: answers by status and way, and how many asked the database."""

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, HttpResponse

from core import metrics

SHORT, LONG = "short", "long"
passed_short = metrics.COUNTERS.handle("checks", "204", SHORT).add
failed_short = metrics.COUNTERS.handle("checks", "503", SHORT).add
too_long_short = metrics.COUNTERS.handle("checks", "431", SHORT).add
looked_up = metrics.COUNTERS.handle("checks_looked_up").add
View = Callable[[HttpRequest], HttpResponse]


def counted(view: View) -> View:
    """Count the answers of a view of Django: the long way."""

    @wraps(view)
    def count(request: HttpRequest) -> HttpResponse:
        try:
            response = view(request)
        except Exception:
            # The function before Django makes 503 of it, so that a proxy asks again.
            metrics.add("checks", "503", LONG)
            raise
        metrics.add("checks", str(response.status_code), LONG)
        return response

    return count
