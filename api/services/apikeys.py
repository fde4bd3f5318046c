"""API keys: made, rotated, revoked and listed. Whoever asks, every change goes through here.

The key itself is in the answer to its making and nowhere else. What it may do is checked anew at
each use (keychecks): its scopes never reach further than its owner's role of that moment.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Network, ip_network
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, rows
from accounts.actors import Actor
from accounts.anonymous import is_anonymous
from accounts.client import Network
from accounts.errors import Forbidden, NotFound, RecordInvalid
from accounts.locks import delete_free, lock_people
from accounts.models import User
from accounts.outbox import enqueue_mail
from accounts.roles import OPERATORS, Role
from accounts.services.tokens import absolute_url
from accounts.services.users import require_rank
from api import keyformat
from api.access import ALL_SCOPES, Access, Scope, scopes_of
from api.models import ApiKey
from api.services.keychecks import digest_of

NAME_MAX_LENGTH, NETWORKS_MAX, LIVE_MAX, ENDED_SHOWN = 80, 20, 100, 100
NETWORK_MAX_LENGTH = 64
OVERLAP, OVERLAP_MAX = timedelta(hours=24), timedelta(days=7)
MAPPED_IPV4 = IPv6Network("::ffff:0:0/96")


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What somebody wants of a new key.

    expires_at: None for the default life, or with `is_endless` for none. networks: CIDR texts,
    empty for everywhere.
    """

    name: str
    scopes: Sequence[str] = (Scope.READ,)
    expires_at: datetime | None = None
    is_endless: bool = False
    networks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """`text` is the only copy of the key."""

    key: ApiKey
    text: str = field(repr=False)


def create_key(*, actor: Actor, user: User, wish: KeyWish, via: Access | None = None) -> IssuedKey:
    """Make a key of `user`, tell him by mail, write it down.

    via: what the API was called by; a key hands on no more than it has itself. Raises
    RecordInvalid naming the fields; Forbidden when the actor's rank is too low or the person's
    access has ended meanwhile. Nothing has changed then.
    """
    if actor.pk != user.pk:
        require_rank(actor, user)
    now = timezone.now()
    row = _parse(wish, user, via, now)
    with transaction.atomic():
        _lock_owner(user)
        _keep_few(user, now)
        issued = _write(row)
        _record("create", actor, row, scopes=row.scopes)
    return issued


def rotate_key(
    *, actor: User, key: ApiKey, overlap: timedelta = OVERLAP, via: Access | None = None
) -> IssuedKey:
    """A new key with the name, scopes, networks and life of `key`, which works on for `overlap`.

    overlap: 0 to 7 days; the old key never lives longer than it would have. Raises NotFound for a
    key that has ended or is not the actor's; RecordInvalid for one that was rotated before or a
    bad overlap; Forbidden when `via` has less than the key.
    """
    if not timedelta(0) <= overlap <= OVERLAP_MAX:
        raise RecordInvalid({"overlap": [_("Choose between 0 seconds and 7 days.")]})
    now = timezone.now()
    if key.user_id != actor.pk or state_of(key, now) != "live":
        raise NotFound
    _require_reach(via, key)
    row = _successor(key, via, now)
    with transaction.atomic():
        _lock_owner(actor)
        old = ApiKey.objects.filter(pk=key.pk, revoked_at=None, rotated_at=None)
        end = now + overlap if key.expires_at is None else min(key.expires_at, now + overlap)
        if not old.update(rotated_at=now, expires_at=end):
            raise RecordInvalid({"record": [_("This key has been rotated or revoked already.")]})
        issued = _write(row)
        _record("rotate", actor, row, before=key.pk)
    return issued


def revoke_key(*, actor: Actor, key: ApiKey) -> None:
    """End a key now. Raises Forbidden (rank), NotFound when it has been revoked already.

    Operators also end what was made without an account.
    """
    is_everybodys = is_anonymous(key.user_id) and actor.role in OPERATORS
    if actor.pk != key.user_id and not is_everybodys:
        require_rank(actor, key.user)
    now = timezone.now()
    # The end moves as well, so that one index finds what can be cleared away.
    end = now if key.expires_at is None else min(key.expires_at, now)
    with transaction.atomic():
        lock_people(key.user_id)
        live = ApiKey.objects.filter(pk=key.pk, revoked_at=None)
        if not live.update(revoked_at=now, expires_at=end):
            raise NotFound
        _record("revoke", actor, key)


def own_key(user: User, key_id: str) -> ApiKey:
    """One key of the person. Raises NotFound, also for keys of others."""
    key = None
    if keyformat.ID.fullmatch(key_id):  # PostgreSQL fails on texts with NUL
        key = ApiKey.objects.filter(pk=key_id, user=user).select_related("user").first()
    if key is None:
        raise NotFound
    return key


def own_keys(user: User) -> list[ApiKey]:
    """All live keys of the person, newest first, then the last that have ended."""
    now = timezone.now()
    keys = ApiKey.objects.filter(user=user).select_related("user").order_by("-created_at", "-pk")
    is_live = live_condition(now)
    return [*keys.filter(is_live), *keys.exclude(is_live)[:ENDED_SHOWN]]


def state_of(key: ApiKey, now: datetime) -> str:
    """live, revoked, expired, or ended: with its owner's access (password, address, shut)."""
    state = key.state(now)
    return "ended" if state == "live" and key.created_at < key.user.keys_not_before else state


def live_condition(now: datetime) -> Q:
    """The rows that state_of() calls live."""
    return Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=now)) & ~ended_condition()


def ended_condition() -> Q:
    """Keys older than their owner's mark."""
    return Q(created_at__lt=F("user__keys_not_before"))


def newest_key(user: User, after: datetime, **_of_signal: Any) -> datetime | None:
    """When the newest key of `user` was made, if after `after`; see signals.access_ending."""
    return rows.newest(user.api_keys.all(), after)


def purge_keys(before: datetime) -> int:
    """Delete keys that were revoked or expired before `before`; returns how many."""
    return delete_free(ApiKey.objects.filter(expires_at__lt=before))


def scopes_for(user: User, via: Access | None = None) -> frozenset[Scope]:
    """The scopes that a new key of `user` can have."""
    return scopes_of(Role(user.role)) & (ALL_SCOPES if via is None else via.scopes)


def parse_networks(texts: Iterable[str]) -> list[str]:
    """CIDR texts in their one spelling, each once. Raises RecordInvalid on `networks`."""
    found = dict.fromkeys(str(_parse_network(text)) for text in texts)
    if len(found) > NETWORKS_MAX:
        text = _("At most %(number)d networks, please.") % {"number": NETWORKS_MAX}
        raise RecordInvalid({"networks": [text]})
    return list(found)


def _parse_network(text: str) -> Network:
    """Host bits are cut; IPv4 in IPv6 is IPv4, as it is for clients."""
    shown = text.strip()[:NETWORK_MAX_LENGTH]
    try:
        # Zones (fe80::1%eth0) belong to one machine; nothing valid is that long.
        network = ip_network(shown.replace("%", " "), strict=False)
    except ValueError:
        problem = _("“%(text)s” is no network. Write 203.0.113.0/24 or 2001:db8::/32.")
        raise RecordInvalid({"networks": [problem % {"text": shown}]}) from None
    if isinstance(network, IPv6Network) and network.subnet_of(MAPPED_IPV4):
        inner = network.network_address.ipv4_mapped
        return ip_network(f"{inner}/{network.prefixlen - 96}")
    return network


def check_wish(wish: KeyWish, user: User, via: Access | None) -> None:
    """Raise RecordInvalid with everything that is wrong with a key that is not made yet."""
    _parse(wish, user, via, timezone.now())


def _parse(wish: KeyWish, user: User, via: Access | None, now: datetime) -> ApiKey:
    """A row without its key. Raises RecordInvalid with everything that is wrong."""
    errors: dict[str, list[str]] = {}
    found: dict[str, Any] = {}
    parsers: dict[str, Callable[[], Any]] = {
        "name": lambda: _parse_name(wish.name),
        "scopes": lambda: _parse_scopes(wish.scopes, user, via),
        "expires_at": lambda: _parse_end(wish, via, now),
        "networks": lambda: _narrowed(parse_networks(wish.networks), via),
    }
    for name, parse in parsers.items():
        try:
            found[name] = parse()
        except RecordInvalid as error:
            errors |= error.errors
    if errors:
        raise RecordInvalid(errors)
    return ApiKey(user=user, created_at=user.issue_time(now), **found)


def _parse_name(text: str) -> str:
    name = " ".join(text.split())
    if not 1 <= len(name) <= NAME_MAX_LENGTH or not name.isprintable():
        problem = _("Give it a name of 1 to %(number)d letters.") % {"number": NAME_MAX_LENGTH}
        raise RecordInvalid({"name": [problem]})
    return name


def _parse_scopes(names: Sequence[str], user: User, via: Access | None) -> list[str]:
    """The scopes in their order, each once."""
    unknown = sorted(set(names) - set(Scope))
    if unknown or not names:
        problem = _("Choose one or more of: %(names)s.") % {"names": ", ".join(Scope)}
        raise RecordInvalid({"scopes": [problem]})
    asked = [scope for scope in Scope if scope in names]
    beyond = [scope for scope in asked if scope not in scopes_for(user, via)]
    if beyond:
        problem = _("Your role or the key of this request does not reach so far: %(names)s.")
        raise RecordInvalid({"scopes": [problem % {"names": ", ".join(beyond)}]})
    return [scope.value for scope in asked]


def _parse_end(wish: KeyWish, via: Access | None, now: datetime) -> datetime | None:
    """When the key ends; a key ends no later than the one that makes it."""
    last = _last_end(via, now)
    if wish.is_endless:
        end = None
    elif wish.expires_at is None:
        end = now + settings.API_KEY_DEFAULT_AGE
        return end if last is None else min(end, last)
    else:
        end = wish.expires_at.astimezone(UTC)
        if end <= now:
            raise RecordInvalid({"expires_at": [_("Choose a time in the future.")]})
    if last is not None and (end is None or end > last):
        problem = _("Choose an end not later than %(end)s.")
        spoken = f"{last:%Y-%m-%dT%H:%M:%SZ}"
        raise RecordInvalid({"expires_at": [problem % {"end": spoken}]})
    return end


def _last_end(via: Access | None, now: datetime) -> datetime | None:
    """The latest end that a new key can have; None: it may live for ever."""
    ends = [via.key.expires_at] if via and via.key and via.key.expires_at else []
    if settings.API_KEY_MAX_AGE:
        ends.append(now + settings.API_KEY_MAX_AGE)
    return min(ends, default=None)


def _narrowed(networks: list[str], via: Access | None) -> list[str]:
    """Those of the making key when none are given; else each must lie within one of its own."""
    outer = via.key.networks if via and via.key else []
    if not outer or not networks:
        return networks or list(outer)
    beyond = [text for text in networks if not any(_lies_in(text, other) for other in outer)]
    if beyond:
        problem = _("The key of this request does not work from %(names)s.")
        raise RecordInvalid({"networks": [problem % {"names": ", ".join(beyond)}]})
    return networks


def _lies_in(inner: str, outer: str) -> bool:
    first, second = ip_network(inner), ip_network(outer)
    return first.version == second.version and first.subnet_of(second)  # type: ignore[arg-type]


def _require_reach(via: Access | None, key: ApiKey) -> None:
    """Raise Forbidden when `key` may more than the key by which its rotation is asked."""
    if via is None or via.key is None:
        return
    outer = via.key.networks
    is_within = not outer or (
        key.networks and all(any(_lies_in(net, other) for other in outer) for net in key.networks)
    )
    if not (set(map(Scope, key.scopes)) <= via.scopes and is_within):
        raise Forbidden(_("The key of this request may less than the one to be rotated."))


def _successor(key: ApiKey, via: Access | None, now: datetime) -> ApiKey:
    """The row of the new key: as long a life as the old one had, within today's bounds."""
    last = _last_end(via, now)
    end = now + (key.expires_at - key.created_at) if key.expires_at else None
    if last is not None:
        end = last if end is None else min(end, last)
    return ApiKey(
        user=key.user,
        name=key.name,
        scopes=key.scopes,
        networks=key.networks,
        created_at=key.user.issue_time(now),
        expires_at=end,
    )


def _lock_owner(user: User) -> None:
    """Hold the person's row; raise Forbidden if his access has ended since the request began.

    Otherwise a session or token that was ended in that moment could still leave a key behind.
    """
    current = User.everyone.select_for_update(no_key=True).filter(pk=user.pk).first()
    if current is None or current.not_before != user.not_before:
        raise Forbidden(_("Your access has changed meanwhile. Please sign in again."))


def _keep_few(user: User, now: datetime) -> None:
    """Call under _lock_owner(), so that parallel wishes do not slip through."""
    if ApiKey.objects.filter(live_condition(now), user=user).count() >= LIVE_MAX:
        problem = _("You have %(number)d live keys, which is the most. Revoke one first.")
        raise RecordInvalid({"record": [problem % {"number": LIVE_MAX}]})


def _write(row: ApiKey) -> IssuedKey:
    """Give the row its key, write it, and tell its owner (ASVS 6.3.7)."""
    parts = keyformat.make()
    row.pk, row.digest, row.ending = parts.id, digest_of(parts), parts.ending
    row.save(force_insert=True)
    enqueue_mail(
        kind="key-created",
        recipient=row.user.email,
        user=row.user,
        context={
            "name": row.name,
            "shown": str(row),
            "scopes": ", ".join(row.scopes),
            "page": absolute_url(reverse("apikeys:list")),
        },
    )
    return IssuedKey(row, parts.text)


def _record(act: str, actor: Actor, key: ApiKey, **detail: Any) -> None:
    audit.record(f"api:key:{act}", actor=actor, target=key.user, key=key.pk, **detail)
