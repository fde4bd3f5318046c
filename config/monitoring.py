"""What monitoring reads: /metrics, in the Prometheus text format. See config.health, too.

No metric names a user, an address or a token. Counters
are those of this server since its start; gauges from the database are the same on every node.
"""

from collections.abc import Iterator

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from config.metrics_collectors import database_measures, server_measures
from core.web.client_ip import client_ip, is_in, is_undeclared_proxy, parse_address

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Measures(Collector):
    """Collects at each scrape."""

    def collect(self) -> Iterator[Metric]:
        yield from server_measures()
        yield from database_measures()


# Its own registry, so that no library adds to it.
registry = CollectorRegistry(auto_describe=False)
registry.register(Measures())


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """200 for METRICS_NETWORKS, 404 for everyone else; never cached."""
    if not _may_read(request):
        raise Http404
    response = HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE)
    response["Cache-Control"] = "no-store"
    return response


def _may_read(request: HttpRequest) -> bool:
    """Behind an undeclared proxy, every client would seem to be this machine, so refuse."""
    if is_undeclared_proxy(request):
        return False
    address = parse_address(client_ip(request))
    return address is not None and is_in(address, settings.METRICS_NETWORKS)


urlpatterns = [path("", metrics, name="metrics")]
