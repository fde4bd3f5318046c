"""How many attempts: django-ratelimit's counting over our atomic cache, by account and by client.

Whoever exceeds a limit is refused. It counts as a violation too where an attempt is a guess at a
secret or asks for mail, and where nobody but the visitor can have caused it; see _may_score().
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest
from django_ratelimit.core import get_usage

from accounts import addresses, devices, gates, outbox, tally
from accounts.client import client_ip, is_from_foreign_page, is_undeclared_proxy
from accounts.context import current_caller
from accounts.crowds import Crowd, count_by, names_of
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


class Usage(NamedTuple):
    """Tries under `name` with this one, and seconds to wait. is_shared: it counts others too."""

    name: str
    tries: int
    wait: int
    is_shared: bool = False


def limit_for(scope: str) -> Limit:
    """The configured limit of `scope`, a key of settings.LIMITS."""
    maximum, window = settings.LIMITS[scope]
    return Limit(scope, maximum, window)


SIGN_IN = "sign-in"
# The bounds of sign-ins of one client whatever the account, and of one account whatever the client.
SIGN_IN_CLIENT, SIGN_IN_ACCOUNT = "sign-in-client", "sign-in-account"
# Answers of providers, and sign-ins there that begin: no guess at a secret of ours.
PROVIDER, CALLBACK = "provider", "callback"
# Scopes that ask for mail.
MAIL = frozenset({"sign-up", "reset-password", "verify-email", "magic-link"})
# Mails of one kind to one address, whoever asks: see may_mail().
RECIPIENT = "recipient"
# Scopes whose excess counts as a violation. What is not named here never scores: API keys hold 256
# random bits, so a wrong one is an old one that a program or a browser sends again by itself.
SCORED = frozenset({SIGN_IN, SIGN_IN_CLIENT, "passkey", "second-factor", *MAIL})
OUTAGE = "outage:{}"


def count_try(request: HttpRequest, scope: str, login: str = "") -> None:
    """Count one attempt of `scope` for this client; at sign-in, for `login` from this client too.

    Raises RateLimited before the attempt is evaluated, and Refused when nobody may come in from
    this network. Counters move for known and unknown names alike, and every spelling of a name is
    one name (A029, A035). A device that has signed in to the account before is a client of its own:
    what strangers do to the account, or in the same network, does not delay it.
    """
    _ask_client_gates(request)
    limit = limit_for(scope)
    name = addresses.limit_key(login) if login else ""
    device = devices.known_device(request, login) if login else ""
    if device:
        _count(request, limit, [f"device:{device}"])
    elif scope == SIGN_IN:
        _count_sign_in(request, limit, name)
    else:
        _count(request, limit, names_of("client", _address(request)))


def has_room(request: HttpRequest, scope: str, login: str = "") -> bool:
    """Count one attempt of `scope` that nobody asked for; False beyond the limit.

    For what browsers, mail programs and foreign pages cause by themselves: it never scores and
    never raises.
    """
    device = devices.known_device(request, login) if login else ""
    names = [f"device:{device}"] if device else names_of("client", _address(request))
    limit = limit_for(scope)
    return _usage(request, limit, names).tries <= limit.maximum


def may_mail(kind: str, recipient: str) -> bool:
    """Count one mail of `kind` to `recipient` that a stranger can have caused; False above the cap.

    From many networks each client keeps its own limit; the mailbox and the links in it would suffer
    all the same. Whoever sends links still issues one above the cap where none is live, so that
    nobody is kept out by a flood.
    """
    limit = limit_for(RECIPIENT)
    name = hashlib.sha256(addresses.limit_key(recipient).encode()).hexdigest()
    cache: Any = caches["counters"]
    seconds = limit.window.total_seconds()
    _name, (count, _end) = count_by(
        names_of(f"mail:{kind}", name=name),
        lambda each: cache.hit(each, seconds),
        origin=current_caller().ip,
    )
    if count <= limit.maximum:
        return True
    tally.add("limits", limit.scope)
    return False


def note_outage(scope: str) -> None:
    """A server that `scope` depends on did not answer: people who try again do not score.

    Limits hold all the same. It is forgotten when the counters that it filled have ended.
    """
    seconds = int(
        limit_for(scope).window.total_seconds() + settings.LOGIN_DELAY_MAX.total_seconds()
    )
    caches["counters"].set(OUTAGE.format(scope), 1, timeout=seconds)


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
        raise _exceeded(request, limit, Usage(name, limit.maximum + 1, left))
    count, end = cache.hit(f"guesses:{name}", limit.window.total_seconds())
    if count <= limit.maximum:
        return
    wait = int(end - time.time()) + 1
    if count == limit.maximum + 1:
        wait = max(wait, _grown(f"strikes:{name}", limit))
        cache.set(f"wait:{name}", int(time.time()) + wait, timeout=wait)
    raise _exceeded(request, limit, Usage(name, count, wait))


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


def _count_sign_in(request: HttpRequest, limit: Limit, name: str) -> None:
    """An attempt from a browser that the account does not know; name is "" for no account."""
    client = _address(request)
    _count(request, limit_for(SIGN_IN_CLIENT), names_of("client", client))
    if name:
        _count_with_growing_wait(request, limit, names_of("login", client, name))
        _count_account(request, limit_for(SIGN_IN_ACCOUNT), names_of("account", name=name))


def _address(request: HttpRequest) -> str:
    """Of the client, "unknown" through a Unix socket that tells none."""
    return client_ip(request) or "unknown"


def _ask_client_gates(request: HttpRequest) -> None:
    """Live sessions go on in a banned network, with everything that they may do."""
    if _person(request) is None:
        gates.require_open_door(client_ip(request))


def _count(request: HttpRequest, limit: Limit, names: Sequence[str]) -> None:
    usage = _usage(request, limit, names)
    if usage.tries > limit.maximum:
        raise _exceeded(request, limit, usage)


def _count_account(request: HttpRequest, limit: Limit, names: Sequence[str]) -> None:
    """Guesses at one account from many networks. Nobody's violation: the person himself may be
    the one who comes too late."""
    usage = _usage(request, limit, names)
    if usage.tries > limit.maximum:
        tally.add("limits", limit.scope)
        raise RateLimited(usage.wait)


def _count_with_growing_wait(request: HttpRequest, limit: Limit, names: Sequence[str]) -> None:
    """As _count(), but the n-th time in a row the wait is 2^(n-1) windows, at most the bound.

    Not so for a group or prefix: its wait ends with the window, or a flood would hold up strangers
    for long.
    """
    cache: Any = caches["counters"]
    left = int(cache.get(f"wait:{_wait_key(limit, names[0])}", 0) - time.time())
    if left > 0:
        raise _exceeded(request, limit, Usage(names[0], limit.maximum + 1, left))
    usage = _usage(request, limit, names)
    if usage.name == names[1] != names[0]:
        left = int(cache.get(f"wait:{_wait_key(limit, usage.name)}", 0) - time.time())
        if left > 0:
            raise _exceeded(request, limit, usage._replace(tries=limit.maximum + 1, wait=left))
    if usage.tries <= limit.maximum:
        return
    if usage.tries == limit.maximum + 1 and usage.name in names[: Crowd.GROUPS]:
        # The first one over the top, however many come at once: one step of growth.
        key = _wait_key(limit, usage.name)
        wait = max(usage.wait, _grown(f"strikes:{key}", limit))
        cache.set(f"wait:{key}", int(time.time()) + wait, timeout=wait)
        usage = usage._replace(wait=wait)
    raise _exceeded(request, limit, usage)


def _wait_key(limit: Limit, name: str) -> str:
    return hashlib.sha256(f"{limit.scope}:{name}".encode()).hexdigest()


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


def _usage(request: HttpRequest, limit: Limit, names: Sequence[str]) -> Usage:
    """Count this try, under the first of `names` or a coarser one while there is a crowd."""
    name, (count, wait) = count_by(
        names, partial(_tries, request, limit), origin=client_ip(request)
    )
    return Usage(name, count, wait, is_shared=name != names[0])


def _tries(request: HttpRequest, limit: Limit, name: str) -> tuple[int, int]:
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


def _exceeded(request: HttpRequest, limit: Limit, usage: Usage) -> RateLimited:
    """Tell the listeners, who score it, and return the error to raise.

    What many share is nobody's violation.
    """
    tally.add("limits", limit.scope)
    if usage.is_shared or not _may_score(request, limit.scope):
        return RateLimited(usage.wait)
    ip = "" if is_undeclared_proxy(request) else client_ip(request)
    limit_exceeded.send(
        sender=Limit,
        limit=limit,
        name=usage.name,
        count=usage.tries,
        user=_person(request),
        ip=ip,
    )
    return RateLimited(usage.wait)


def _may_score(request: HttpRequest, scope: str) -> bool:
    """Can nobody but the visitor have caused this, and was it worth a guess?

    Not so the page of another site, nor a directory or mail service that is down, whose people try
    again and again with what is right.
    """
    if scope not in SCORED or is_from_foreign_page(request):
        return False
    if scope in MAIL:
        return not outbox.is_held_up()
    return caches["counters"].get(OUTAGE.format(SIGN_IN)) is None


def _person(request: HttpRequest) -> User | None:
    user = getattr(request, "user", None)
    return user if isinstance(user, User) and not user.is_built_in else None
