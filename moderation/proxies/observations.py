"""Observations of proxies: recorded once a minute, kept for hours, evaluated on demand."""

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
from core.web.client_ip import FORWARDING_HEADERS, OWN_NETWORKS, is_in, parse_address
from moderation.proxies.diagnosis import ProxyObservation, ProxyProblem, Traffic, Trust, problems

KEY = "proxy-observations"
MEMORY = timedelta(hours=6)
# Seconds; a process records each of the eight kinds of request at most so often.
RECORD_INTERVAL = 60.0
MAX_EVENTS_READ = 500
MAX_HEADER_LENGTH = 300
_recorded_at: dict[str, float] = {}


def trust() -> Trust:
    """The current settings."""
    return Trust(tuple(settings.TRUSTED_PROXIES), settings.TRUST_PROXY, settings.IS_HTTPS)


def observe(request: HttpRequest) -> ProxyObservation:
    """Observe this request; long headers are cut, X-Forwarded-For at its left end."""
    meta = request.META
    return ProxyObservation(
        at=timezone.now(),
        peer=meta.get("REMOTE_ADDR", "")[:MAX_HEADER_LENGTH],
        forwarded_for=meta.get("HTTP_X_FORWARDED_FOR", "")[-MAX_HEADER_LENGTH:],
        headers=tuple(name for name in FORWARDING_HEADERS if name in meta),
        scheme=request.scheme or "http",
        stated=meta.get("HTTP_X_FORWARDED_PROTO", "")[:MAX_HEADER_LENGTH],
        host=meta.get("HTTP_HOST", "")[:MAX_HEADER_LENGTH],
    )


def note(request: HttpRequest) -> None:
    """Record this request as the newest of its kind, unless one was recorded a minute ago.

    Processes may overwrite each other; what is lost is recorded again within a minute.
    """
    kind = _kind(request)
    now = time.monotonic()
    if now - _recorded_at.get(kind, -RECORD_INTERVAL) < RECORD_INTERVAL:
        return
    _recorded_at[kind] = now
    with suppress(DatabaseError):  # the response matters more
        store = caches["counters"]
        kept = store.get(KEY) or {}
        kept[kind] = _packed(observe(request))
        store.set(KEY, kept, MEMORY.total_seconds())


def forget() -> None:
    """Delete all observations, in this process and in the cache."""
    _recorded_at.clear()
    caches["counters"].delete(KEY)


def observations() -> list[ProxyObservation]:
    """The observations of the last hours, newest first."""
    since = timezone.now() - MEMORY
    kept = caches["counters"].get(KEY) or {}
    found = [_unpacked(packed) for packed in kept.values()]
    return sorted((one for one in found if one.at > since), key=lambda one: one.at, reverse=True)


def traffic() -> Traffic:
    """The newest audit events of the last hours that have a network address."""
    rows = AuditEvent.objects.filter(at__gt=timezone.now() - MEMORY).order_by("-at")
    addresses = [ip for ip in rows.values_list("ip", flat=True)[:MAX_EVENTS_READ] if ip]
    return Traffic(len(addresses), frozenset(addresses))


def proxy_problems(*more: ProxyObservation) -> list[ProxyProblem]:
    """The problems shown by the recorded observations and `more`.

    One query of the cache, and one of the audit log if there is a proxy at all.
    """
    seen = [*observations(), *more]
    recent = traffic() if any(one.is_forwarded for one in seen) else Traffic()
    return problems(seen, trust(), recent)


def _kind(request: HttpRequest) -> str:
    """One of eight kinds, so that a client's forged header never replaces your proxy's."""
    peer = parse_address(request.META.get("REMOTE_ADDR", ""))
    is_forwarded = any(name in request.META for name in FORWARDING_HEADERS)
    is_own = peer is None or is_in(peer, OWN_NETWORKS)
    return f"{int(is_forwarded)}{int(is_own)}{int(request.is_secure())}"


def _packed(seen: ProxyObservation) -> dict[str, Any]:
    return asdict(seen) | {"at": seen.at.isoformat()}


def _unpacked(packed: dict[str, Any]) -> ProxyObservation:
    at = datetime.fromisoformat(packed["at"])
    return ProxyObservation(**(packed | {"at": at, "headers": tuple(packed["headers"])}))
