"""Rate limits of attempts, by account and by client: django-ratelimit over an atomic cache.

Attempts beyond a limit raise RateLimited. An excess also counts as a violation where attempts are
guesses at a secret or ask for mail, and only the client can have caused it; see _may_score().
"""

import hashlib
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest
from django_ratelimit.core import get_usage

from accounts import access_policy
from accounts.models import User
from accounts.sessions import known_devices
from accounts.signals import limit_exceeded
from core import counters, metrics
from core.errors import RateLimited
from core.text import email_addresses
from core.text.time_spans import doubled
from core.web.client_groups import Crowd, NoRoom, count_by, names_of
from core.web.client_ip import client_ip, is_from_foreign_page, is_undeclared_proxy
from core.web.request_context import get_request_context
from mail import outbox


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `maximum` attempts in each `window`, for one name."""

    scope: str
    maximum: int
    window: timedelta

    @property
    def rate(self) -> str:
        """In django-ratelimit's notation."""
        return f"{self.maximum}/{int(self.window.total_seconds())}s"


class Usage(NamedTuple):
    """Attempts counted under `name`, this one included, and seconds to wait.

    is_shared: `name` stands for a group of clients.
    """

    name: str
    attempts: int
    wait: int
    is_shared: bool = False


def limit_for(scope: str) -> Limit:
    """The configured limit of `scope`, a key of settings.LIMITS."""
    maximum, window = settings.LIMITS[scope]
    return Limit(scope, maximum, window)


SIGN_IN = "sign-in"
# Sign-ins of one client to any account, and to one account from any client.
SIGN_IN_CLIENT, SIGN_IN_ACCOUNT = "sign-in-client", "sign-in-account"
# Sign-ins that start at a provider, and its responses: no guesses at a secret of ours.
PROVIDER, CALLBACK = "provider", "callback"
# Scopes that ask for mail.
MAIL = frozenset({"sign-up", "reset-password", "verify-email", "magic-link"})
# Mails of one kind to one address from any client: see may_mail().
RECIPIENT = "recipient"
# Scopes whose excess counts as a violation. API keys are not among them: they have 256 random bits,
# so a wrong one is an old key that a program or browser keeps sending, not a guess.
SCORED = frozenset({SIGN_IN, SIGN_IN_CLIENT, "passkey", "second-factor", *MAIL})
OUTAGE = "outage:{}"


def check_rate_limit(request: HttpRequest, scope: str, login: str = "") -> None:
    """Count one attempt of `scope` for this client; at sign-in, for the account `login`, too.

    Raises RateLimited before the attempt is evaluated, and AccessDenied when no one may sign in
    from this network. Known and unknown names are counted alike, and every spelling of a name is
    one name (A029, A035). A device that has signed in to the account before counts as a client of
    its own, so attempts of others at the account or in the same network do not delay it.
    """
    _require_client_allowed(request)
    limit = limit_for(scope)
    name = email_addresses.limit_key(login) if login else ""
    device = known_devices.known_device(request, login) if login else ""
    if device:
        _count(request, limit, [f"device:{device}"])
    elif scope == SIGN_IN:
        _count_sign_in(request, limit, name)
    else:
        _count(request, limit, names_of("client", _address(request)))


def has_room(request: HttpRequest, scope: str, login: str = "") -> bool:
    """Count one attempt of `scope`; False beyond the limit.

    For requests that no user made on purpose, such as those of browsers, mail programs and foreign
    pages. Never raises, and never counts as a violation.
    """
    device = known_devices.known_device(request, login) if login else ""
    names = [f"device:{device}"] if device else names_of("client", _address(request))
    limit = limit_for(scope)
    return _usage(request, limit, names).attempts <= limit.maximum


def may_mail(kind: str, recipient: str) -> bool:
    """Count one mail of `kind` to `recipient` that anyone can cause; False above the limit."""
    return mail_wait(kind, recipient) == 0


def mail_wait(kind: str, recipient: str) -> int:
    """Count one mail as may_mail() does; returns the seconds to wait, 0 within the limit.

    Protects a mailbox from requests of many clients, each within its own limit. Callers that send
    links issue one above the limit if none is live, so that a flood locks no one out.
    """
    limit = limit_for(RECIPIENT)
    name = hashlib.sha256(email_addresses.limit_key(recipient).encode()).hexdigest()
    names = names_of(f"mail:{kind}", name=name)
    count = counters.hit_first(names, limit.window, origin=get_request_context().ip)
    if count.number <= limit.maximum:
        return 0
    metrics.add("limits", limit.scope)
    return max(1, count.wait_seconds)


def seconds_locked(request: HttpRequest, user: User) -> int:
    """For how long unknown devices cannot sign in to `user` by password; 0 if they can.

    It counts nothing. request: needed by django-ratelimit, which reads nothing from it.
    """
    limit = limit_for(SIGN_IN_ACCOUNT)
    logins = {email_addresses.limit_key(login) for login in (user.email, user.username) if login}
    return max(_seconds_full(request, limit, names_of("account", name=login)) for login in logins)


def _seconds_full(request: HttpRequest, limit: Limit, names: Sequence[str]) -> int:
    """Seconds to the end of the window if `limit` is used up for the first of `names`, else 0."""
    store: Any = caches["counters"]
    with suppress(NoRoom), store.only_known():
        usage = get_usage(
            request,
            group=f"gatehouse:{limit.scope}",
            key=lambda _group, _request: names[0],
            rate=limit.rate,
        )
        if usage is not None and int(usage["count"]) >= limit.maximum:
            return int(usage["time_left"])
    return 0


def note_outage(scope: str) -> None:
    """Record that a server which `scope` depends on did not respond.

    Limits still apply, but users who try again cause no violations until the counters that the
    outage filled have expired.
    """
    seconds = int(
        limit_for(scope).window.total_seconds() + settings.LOGIN_DELAY_MAX.total_seconds()
    )
    caches["counters"].set(OUTAGE.format(scope), 1, timeout=seconds)


def check_mfa_rate_limit(request: HttpRequest, user: User) -> None:
    """Count one attempt at `user`'s second factor; call refund_attempt() after a valid code.

    Counts for the account, not for the session or client (A063). A known device of the account has
    a counter of its own, so someone with a stolen password neither gets more attempts nor locks the
    user out. Raises RateLimited before a code is checked, each time for longer, and AccessDenied
    when no one may sign in from this network.
    """
    _require_client_allowed(request)
    limit = limit_for("second-factor")
    key = _mfa_key(request, user)
    blocked = _blocked_seconds(key)
    if blocked > 0:
        raise _exceeded(request, limit, Usage(key, limit.maximum + 1, blocked))
    count = counters.hit(f"guesses:{key}", limit.window)
    if count.number <= limit.maximum:
        return
    wait = count.wait_seconds
    if count.number == limit.maximum + 1:
        wait = _block(key, limit, wait)
    raise _exceeded(request, limit, Usage(key, count.number, wait))


def refund_attempt(request: HttpRequest, user: User) -> None:
    """Stop counting the last attempt, whose code was valid; earlier ones still count."""
    counters.refund(f"guesses:{_mfa_key(request, user)}")


def mfa_seconds_locked(user: User) -> int:
    """For how long no code of `user` is accepted from unknown devices; 0 if one is.

    When the sessions of an account end, its known devices become unknown. It counts nothing.
    """
    return max(0, _blocked_seconds(_mfa_key_of(user, "")))


def forget_mfa_attempts(user: User) -> None:
    """Forget the wrong codes from unknown devices: the account gets new factors."""
    key = _mfa_key_of(user, "")
    counters.forget(f"guesses:{key}")
    caches["counters"].delete_many([f"wait:{key}", f"strikes:{key}"])


def _mfa_key(request: HttpRequest, user: User) -> str:
    return _mfa_key_of(user, known_devices.known_device(request, user.email))


def _mfa_key_of(user: User, device: str) -> str:
    name = f"second-factor:{user.pk}:{device}"
    return hashlib.sha256(name.encode()).hexdigest()


def _count_sign_in(request: HttpRequest, limit: Limit, name: str) -> None:
    """Count an attempt from an unknown device; name is "" for no account."""
    client = _address(request)
    _count(request, limit_for(SIGN_IN_CLIENT), names_of("client", client))
    if name:
        _count_with_backoff(request, limit, names_of("login", client, name))
        _count_account(request, limit_for(SIGN_IN_ACCOUNT), names_of("account", name=name))


def _address(request: HttpRequest) -> str:
    """The address of the client; "unknown" for a Unix socket that does not pass it on."""
    return client_ip(request) or "unknown"


def _require_client_allowed(request: HttpRequest) -> None:
    """Live sessions may go on in a banned network, with everything that they may do."""
    if _signed_in_user(request) is None:
        access_policy.require_client_allowed(client_ip(request))


def _count(request: HttpRequest, limit: Limit, names: Sequence[str]) -> None:
    usage = _usage(request, limit, names)
    if usage.attempts > limit.maximum:
        raise _exceeded(request, limit, usage)


def _count_account(request: HttpRequest, limit: Limit, names: Sequence[str]) -> None:
    """Count attempts at one account from any network.

    An excess is no violation, because the last attempt may be that of the owner.
    """
    usage = _usage(request, limit, names)
    if usage.attempts > limit.maximum:
        metrics.add("limits", limit.scope)
        raise RateLimited(usage.wait)


def _count_with_backoff(request: HttpRequest, limit: Limit, names: Sequence[str]) -> None:
    """Count as _count() does, and block each excess for longer than the last; see _block().

    Names of large groups are not blocked beyond the window, or a flood would delay other clients.
    """
    blocked = _blocked_seconds(_block_key(limit, names[0]))
    if blocked > 0:
        raise _exceeded(request, limit, Usage(names[0], limit.maximum + 1, blocked))
    usage = _usage(request, limit, names)
    key = _block_key(limit, usage.name)
    if usage.name == names[1] != names[0]:
        blocked = _blocked_seconds(key)
        if blocked > 0:
            full = usage._replace(attempts=limit.maximum + 1, wait=blocked)
            raise _exceeded(request, limit, full)
    if usage.attempts <= limit.maximum:
        return
    # Only the first attempt beyond the limit adds a strike, however many arrive at once.
    if usage.attempts == limit.maximum + 1 and usage.name in names[: Crowd.GROUPS]:
        usage = usage._replace(wait=_block(key, limit, usage.wait))
    raise _exceeded(request, limit, usage)


def _block_key(limit: Limit, name: str) -> str:
    return hashlib.sha256(f"{limit.scope}:{name}".encode()).hexdigest()


def _blocked_seconds(key: str) -> int:
    """How long `key` is still blocked by _block(); 0 or less if it is not."""
    return int(caches["counters"].get(f"wait:{key}", 0) - time.time())


def _block(key: str, limit: Limit, seconds: int) -> int:
    """Add a strike to `key` and block it; returns for how many seconds.

    The first strike blocks for `seconds`, the n-th for 2^(n-1) windows, at most LOGIN_DELAY_MAX.
    """
    longest: timedelta = settings.LOGIN_DELAY_MAX
    cache = caches["counters"]
    counter, lifetime = f"strikes:{key}", int((2 * longest + limit.window).total_seconds())
    cache.add(counter, 0, timeout=lifetime)
    strikes = int(cache.incr(counter))
    cache.touch(counter, timeout=lifetime)
    wait = seconds
    if strikes > 1:
        wait = max(wait, int(doubled(limit.window, strikes - 1, longest).total_seconds()))
    cache.set(f"wait:{key}", int(time.time()) + wait, timeout=wait)
    return wait


def _usage(request: HttpRequest, limit: Limit, names: Sequence[str]) -> Usage:
    """Count this attempt under the first of `names`, or a coarser one while many clients attack."""
    name, (count, wait) = count_by(
        names, partial(_attempts, request, limit), origin=client_ip(request)
    )
    return Usage(name, count, wait, is_shared=name != names[0])


def _attempts(request: HttpRequest, limit: Limit, name: str) -> tuple[int, int]:
    """Count this attempt; returns (attempts of `name` in the window, seconds to its end)."""
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
    """Send `limit_exceeded` where it is a violation, and return the error to raise.

    An excess that several clients share is no one's violation.
    """
    metrics.add("limits", limit.scope)
    if usage.is_shared or not _may_score(request, limit.scope):
        return RateLimited(usage.wait)
    ip = "" if is_undeclared_proxy(request) else client_ip(request)
    limit_exceeded.send(
        sender=Limit,
        limit=limit,
        name=usage.name,
        count=usage.attempts,
        user=_signed_in_user(request),
        ip=ip,
    )
    return RateLimited(usage.wait)


def _may_score(request: HttpRequest, scope: str) -> bool:
    """Whether only the client can have caused the excess, with guesses or requests for mail.

    False for requests from pages of other sites, and while a directory or mail service is down,
    because users then retry with valid input.
    """
    if scope not in SCORED or is_from_foreign_page(request):
        return False
    if scope in MAIL:
        return not outbox.is_held_up()
    return caches["counters"].get(OUTAGE.format(SIGN_IN)) is None


def _signed_in_user(request: HttpRequest) -> User | None:
    user = getattr(request, "user", None)
    return user if isinstance(user, User) and not user.is_built_in else None
