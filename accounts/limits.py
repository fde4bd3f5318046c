"""How many tries: django-ratelimit's counting over our atomic cache, by account and by client."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest
from django_ratelimit.core import get_usage

from accounts import addresses
from accounts.client import client_ip, network_key
from accounts.errors import RateLimited
from accounts.signals import limit_exceeded


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `maximum` tries in each `window`, for one name."""

    scope: str
    maximum: int
    window: timedelta

    @property
    def rate(self) -> str:
        """In django-ratelimit's own notation."""
        return f"{self.maximum}/{int(self.window.total_seconds())}s"


def limit_for(scope: str) -> Limit:
    """The configured limit of `scope`, a key of settings.LIMITS."""
    maximum, window = settings.LIMITS[scope]
    return Limit(scope, maximum, window)


# An office behind one address is many people: the client's own limit is this many times wider.
CLIENT_FACTOR = 5


def count_try(request: HttpRequest, scope: str, login: str = "") -> None:
    """Count one try of `scope` for this client, and for `login` as asked from this client.

    Raises RateLimited before the try is evaluated. Both counters move for known and unknown
    names alike, and every spelling of a name is one name (A029, A035).
    """
    limit = limit_for(scope)
    client = network_key(client_ip(request))
    wide = Limit(scope, limit.maximum * CLIENT_FACTOR, limit.window)
    _count(request, wide, f"client:{client}")
    if login:
        _count(request, limit, f"login:{client}:{addresses.limit_key(login)}")


def _count(request: HttpRequest, limit: Limit, name: str) -> None:
    usage = get_usage(
        request,
        group=f"gatehouse:{limit.scope}",
        key=lambda _group, _request: name,
        rate=limit.rate,
        increment=True,
    )
    if usage is None or not usage["should_limit"]:
        return
    limit_exceeded.send(sender=Limit, scope=limit.scope, name=name, count=usage["count"])
    raise RateLimited(usage["time_left"])
