"""Metrics of checks: answers by status and path, and the number of database look-ups."""

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, HttpResponse

from core import metrics

# Values of the label `way`, a public name.
FAST, DJANGO = "short", "long"
count_passed = metrics.COUNTERS.handle("checks", "204", FAST).add
count_failed = metrics.COUNTERS.handle("checks", "503", FAST).add
count_too_long = metrics.COUNTERS.handle("checks", "431", FAST).add
count_lookup = metrics.COUNTERS.handle("checks_looked_up").add
View = Callable[[HttpRequest], HttpResponse]


def counted(view: View) -> View:
    """Count the answers of a Django view."""

    @wraps(view)
    def count(request: HttpRequest) -> HttpResponse:
        try:
            response = view(request)
        except Exception:
            # The fast path turns it into a 503, so that the proxy asks again.
            metrics.add("checks", "503", DJANGO)
            raise
        metrics.add("checks", str(response.status_code), DJANGO)
        return response

    return count
