"""How many tries: django-ratelimit's counting over our atomic cache, by account and by client."""

import hashlib
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest
from django_ratelimit.core import get_usage

from accounts import addresses, devices, gates, tally
from accounts.client import client_ip, is_undeclared_proxy, network_key
from accounts.errors import RateLimited
from accounts.models import User
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

    def wider(self, factor: int) -> "Limit":
        """The same limit for a name behind which there are many."""
        return Limit(self.scope, self.maximum * factor, self.window)


def limit_for(scope: str) -> Limit:
    """The configured limit of `scope`, a key of settings.LIMITS."""
    maximum, window = settings.LIMITS[scope]
    return Limit(scope, maximum, window)


# An office behind one address is many people: the client's own limit is this many times wider.
CLIENT_FACTOR = 5
# One account guessed at from many networks at once.
ACCOUNT_FACTOR = 10
# Where the wait grows each time the limit is exceeded anew, up to LOGIN_DELAY_MAX.
GROWING = frozenset({"sign-in"})


def count_try(request: HttpRequest, scope: str, login: str = "") -> None:
    """Count one try of `scope` for this client, and for `login` as asked from this client.

    Raises RateLimited before the try is evaluated, and Refused when nobody may come in from this
    network. Counters move for known and unknown names alike, and every spelling of a name is one
    name (A029, A035). A device that has signed in to the account before has a counter of its own:
    what strangers do to the account, or in the same network, does not delay it.
    """
    _ask_client_gates(request)
    limit = limit_for(scope)
    name = addresses.limit_key(login) if login else ""
    device = devices.known_device(request, login) if login else ""
    if device:
        _count(request, limit, f"device:{device}")
    else:
        _count_stranger(request, limit, name)


def count_guess(request: HttpRequest, user: User) -> None:
    """Count one guess at a code of `user`'s second factor; forgive_guess() after a right one.

    For the account, not for the session or the client (A063). A browser that has signed in to the
    account before has a counter of its own: whoever has stolen a password neither gets more tries
    nor keeps the person himself out. Raises RateLimited before anything is tried, each time for
    longer, and Refused when nobody may come in from this network.
    """
    _ask_client_gates(request)
    limit = limit_for("second-factor")
    name = _guess_name(request, user)
    cache: Any = caches["counters"]
    left = int(cache.get(f"wait:{name}", 0) - time.time())
    if left > 0:
        raise _exceeded(request, limit, name, limit.maximum + 1, left)
    count, end = cache.hit(f"guesses:{name}", limit.window.total_seconds())
    if count <= limit.maximum:
        return
    wait = int(end - time.time()) + 1
    if count == limit.maximum + 1:
        wait = max(wait, _grown(f"strikes:{name}", limit))
        cache.set(f"wait:{name}", int(time.time()) + wait, timeout=wait)
    raise _exceeded(request, limit, name, count, wait)


def forgive_guess(request: HttpRequest, user: User) -> None:
    """The code was right: this guess counts no more; those before it do."""
    try:
        caches["counters"].incr(f"guesses:{_guess_name(request, user)}", -1)
    except ValueError:
        return  # the window has ended meanwhile


def _guess_name(request: HttpRequest, user: User) -> str:
    device = devices.known_device(request, user.email)
    name = f"second-factor:{user.pk}:{device}"
    return hashlib.sha256(name.encode()).hexdigest()


def _count_stranger(request: HttpRequest, limit: Limit, name: str) -> None:
    """A try from a browser that the account does not know; name is "" for no account."""
    client = network_key(client_ip(request))
    _count(request, limit.wider(CLIENT_FACTOR), f"client:{client}")
    if name and limit.scope in GROWING:
        _count_with_growing_wait(request, limit, f"login:{client}:{name}")
        _count_account(request, limit.wider(ACCOUNT_FACTOR), f"account:{name}")
    elif name:
        _count(request, limit, f"login:{client}:{name}")


def _ask_client_gates(request: HttpRequest) -> None:
    """Live sessions go on in a banned network, with everything that they may do."""
    if _person(request) is None:
        gates.require_open_door(client_ip(request))


def _count(request: HttpRequest, limit: Limit, name: str) -> None:
    count, wait = _usage(request, limit, name)
    if count > limit.maximum:
        raise _exceeded(request, limit, name, count, wait)


def _count_account(request: HttpRequest, limit: Limit, name: str) -> None:
    """Guesses at one account from many networks. Nobody's violation: the person himself may be
    the one who comes too late."""
    count, wait = _usage(request, limit, name)
    if count > limit.maximum:
        tally.add("limits", limit.scope)
        raise RateLimited(wait)


def _count_with_growing_wait(request: HttpRequest, limit: Limit, name: str) -> None:
    """As _count(), but the n-th time in a row the wait is 2^(n-1) windows, at most the bound."""
    cache = caches["counters"]
    key = hashlib.sha256(f"{limit.scope}:{name}".encode()).hexdigest()
    left = int(cache.get(f"wait:{key}", 0) - time.time())
    if left > 0:
        raise _exceeded(request, limit, name, limit.maximum + 1, left)
    count, wait = _usage(request, limit, name)
    if count <= limit.maximum:
        return
    if count == limit.maximum + 1:
        # The first one over the top, however many come at once: one step of growth.
        wait = max(wait, _grown(f"strikes:{key}", limit))
        cache.set(f"wait:{key}", int(time.time()) + wait, timeout=wait)
    raise _exceeded(request, limit, name, count, wait)


def _grown(key: str, limit: Limit) -> int:
    """Seconds to wait after one more strike; 0 for the first, which waits for the window's end."""
    bound = int(settings.LOGIN_DELAY_MAX.total_seconds())
    memory = 2 * bound + int(limit.window.total_seconds())
    cache = caches["counters"]
    cache.add(key, 0, timeout=memory)
    strikes = min(int(cache.incr(key)), 30)
    cache.touch(key, timeout=memory)
    if strikes == 1:
        return 0
    grown: int = int(limit.window.total_seconds()) * 2 ** (strikes - 1)
    return min(grown, bound)


def _usage(request: HttpRequest, limit: Limit, name: str) -> tuple[int, int]:
    """(tries of `name` in this window with this one, seconds to the window's end)."""
    usage = get_usage(
        request,
        group=f"gatehouse:{limit.scope}",
        key=lambda _group, _request: name,
        rate=limit.rate,
        increment=True,
    )
    if usage is None:
        return 0, 0
    # A counter that cannot be read counts as full.
    count = limit.maximum + 1 if usage["should_limit"] else int(usage["count"])
    return max(count, int(usage["count"])), int(usage["time_left"])


def _exceeded(request: HttpRequest, limit: Limit, name: str, count: int, wait: int) -> RateLimited:
    """Tell the listeners, who may score it, and return the error to raise."""
    tally.add("limits", limit.scope)
    ip = "" if is_undeclared_proxy(request) else client_ip(request)
    limit_exceeded.send(
        sender=Limit, limit=limit, name=name, count=count, user=_person(request), ip=ip
    )
    return RateLimited(wait)


def _person(request: HttpRequest) -> User | None:
    user = getattr(request, "user", None)
    return user if isinstance(user, User) and not user.is_built_in else None
