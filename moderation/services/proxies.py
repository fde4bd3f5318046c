"""What the server has seen of proxies: noted now and then, kept for hours, judged when asked."""

import time
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.db import DatabaseError
from django.http import HttpRequest
from django.utils import timezone

from audit.models import AuditEvent
from core.client_ip import FORWARDING_HEADERS, OWN_NETWORKS, is_in, parse_address
from moderation.proxy_diagnosis import ProxyObservation, ProxyProblem, Traffic, Trust, problems

KEY = "proxy-observations"
MEMORY = timedelta(hours=6)
# A process notes each kind of request at most so often, in seconds. There are eight kinds.
NOTE_EVERY = 60.0
NEWEST_ACTS = 500
LONGEST = 300
_noted_at: dict[str, float] = {}


def trust() -> Trust:
    """The settings of now."""
    return Trust(tuple(settings.TRUSTED_PROXIES), settings.TRUST_PROXY, settings.IS_HTTPS)


def observe(request: HttpRequest) -> ProxyObservation:
    """What this request shows; long headers are cut, the left of X-Forwarded-For first."""
    meta = request.META
    return ProxyObservation(
        at=timezone.now(),
        peer=meta.get("REMOTE_ADDR", "")[:LONGEST],
        forwarded_for=meta.get("HTTP_X_FORWARDED_FOR", "")[-LONGEST:],
        headers=tuple(name for name in FORWARDING_HEADERS if name in meta),
        scheme=request.scheme or "http",
        stated=meta.get("HTTP_X_FORWARDED_PROTO", "")[:LONGEST],
        host=meta.get("HTTP_HOST", "")[:LONGEST],
    )


def note(request: HttpRequest) -> None:
    """Remember this request as the newest of its kind, unless one was noted a minute ago.

    Processes may overwrite each other; what is lost comes again within a minute.
    """
    kind = _kind(request)
    now = time.monotonic()
    if now - _noted_at.get(kind, -NOTE_EVERY) < NOTE_EVERY:
        return
    _noted_at[kind] = now
    with suppress(DatabaseError):  # never at the cost of the answer
        store = caches["counters"]
        kept = store.get(KEY) or {}
        kept[kind] = _packed(observe(request))
        store.set(KEY, kept, MEMORY.total_seconds())


def forget() -> None:
    """Forget what was noted, here and everywhere."""
    _noted_at.clear()
    caches["counters"].delete(KEY)


def observations() -> list[ProxyObservation]:
    """What was noted in the last hours, the newest first."""
    since = timezone.now() - MEMORY
    kept = caches["counters"].get(KEY) or {}
    found = [_unpacked(packed) for packed in kept.values()]
    return sorted((one for one in found if one.at > since), key=lambda one: one.at, reverse=True)


def traffic() -> Traffic:
    """The newest acts of the last hours in the audit log that came from an address."""
    rows = AuditEvent.objects.filter(at__gt=timezone.now() - MEMORY).order_by("-at")
    addresses = [ip for ip in rows.values_list("ip", flat=True)[:NEWEST_ACTS] if ip]
    return Traffic(len(addresses), frozenset(addresses))


def proxy_problems(*more: ProxyObservation) -> list[ProxyProblem]:
    """What is wrong, by what was noted and by `more`. At most a query of the cache and one of the
    audit log, which is asked only when a proxy shows at all."""
    seen = [*observations(), *more]
    acts = traffic() if any(one.is_forwarded for one in seen) else Traffic()
    return problems(seen, trust(), acts)


def _kind(request: HttpRequest) -> str:
    """One of eight: a stranger's forged header never takes the place of the own proxy's."""
    peer = parse_address(request.META.get("REMOTE_ADDR", ""))
    is_forwarded = any(name in request.META for name in FORWARDING_HEADERS)
    is_own = peer is None or is_in(peer, OWN_NETWORKS)
    return f"{int(is_forwarded)}{int(is_own)}{int(request.is_secure())}"


def _packed(seen: ProxyObservation) -> dict[str, Any]:
    return asdict(seen) | {"at": seen.at.isoformat()}


def _unpacked(packed: dict[str, Any]) -> ProxyObservation:
    at = datetime.fromisoformat(packed["at"])
    return ProxyObservation(**(packed | {"at": at, "headers": tuple(packed["headers"])}))
