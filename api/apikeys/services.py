"""Create, rotate, revoke and list API keys. Pages, API, admin and command all call these.

Only the return value of create_key() and rotate_key() contains the key. Its scopes are limited by
the owner's present role at each use; see api.apikeys.authenticate.
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

from accounts.actors import Actor, is_anonymous
from accounts.models import User
from accounts.roles import ADMIN_ROLES, Role
from accounts.services.email_tokens import absolute_url
from accounts.services.ranks import require_rank
from accounts.services.service_accounts import answers_for, may_manage_keys
from api.apikeys import key_format
from api.apikeys.authenticate import digest_of
from api.models import ApiKey
from api.permissions import ALL_SCOPES, AuthContext, Scope, scopes_of
from audit import audit_log
from core import sql
from core.errors import Forbidden, NotFound, RecordInvalid
from core.locks import delete_free, lock_users
from core.web.client_ip import Network
from mail.outbox import enqueue_mail

NAME_MAX_LENGTH, NETWORKS_MAX, LIVE_MAX, ENDED_SHOWN = 80, 20, 100, 100
NETWORK_MAX_LENGTH = 64
OVERLAP, OVERLAP_MAX = timedelta(hours=24), timedelta(days=7)
MAPPED_IPV4 = IPv6Network("::ffff:0:0/96")


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """The properties of a key to create.

    expires_at: None for API_KEY_DEFAULT_AGE, or for no expiry with `is_endless`. networks: CIDR
    texts; empty allows every address.
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


def create_key(
    *, actor: Actor, user: User, key_request: KeyRequest, via: AuthContext | None = None
) -> IssuedKey:
    """Create a key for `user`. Sends them a mail and writes one audit row.

    via: the context of an API request; a key cannot create a key with more rights than its own.
    Raises RecordInvalid with errors by field; Forbidden if the actor's rank is too low or the
    user's access has ended in the meantime. Nothing has changed then. A service account gets no
    mail; see may_manage_keys() for who creates its keys.
    """
    _require_key_manager(actor, user)
    now = timezone.now()
    row = _parse(key_request, user, via, now)
    with transaction.atomic():
        _require_key_manager(actor, _lock_owner(user))
        _require_below_limit(user, now)
        issued = _save(row)
        _record("create", actor, row, scopes=row.scopes)
    return issued


def rotate_key(
    *, actor: User, key: ApiKey, overlap: timedelta = OVERLAP, via: AuthContext | None = None
) -> IssuedKey:
    """Replace `key` by a new one with the same name, scopes, networks and lifetime.

    overlap: 0 to 7 days for which the old key keeps working, but never beyond its own expiry.
    Sends a mail and writes one audit row. Raises NotFound for a key that has ended or is not the
    actor's; RecordInvalid for one that was rotated before, or a bad overlap; Forbidden if `via`
    has fewer rights than the key.
    """
    if not timedelta(0) <= overlap <= OVERLAP_MAX:
        raise RecordInvalid({"overlap": [_("Choose between 0 seconds and 7 days.")]})
    now = timezone.now()
    if key.user_id != actor.pk or state_of(key, now) != "live":
        raise NotFound
    _require_no_escalation(via, key)
    row = _successor(key, via, now)
    with transaction.atomic():
        _lock_owner(actor)
        old = ApiKey.objects.filter(pk=key.pk, revoked_at=None, rotated_at=None)
        end = now + overlap if key.expires_at is None else min(key.expires_at, now + overlap)
        if not old.update(rotated_at=now, expires_at=end):
            raise RecordInvalid({"record": [_("This key has been rotated or revoked already.")]})
        issued = _save(row)
        _record("rotate", actor, row, before=key.pk)
    return issued


def revoke_key(*, actor: Actor, key: ApiKey) -> None:
    """Revoke a key. Writes one audit row.

    Administrators may also revoke keys of the anonymous user. Raises Forbidden if the actor's rank
    is too low, NotFound if the key is revoked already.
    """
    is_of_anonymous = is_anonymous(key.user_id) and actor.role in ADMIN_ROLES
    is_own = actor.pk is not None and actor.pk == key.user_id
    is_answered = key.user.is_service and answers_for(actor, key.user)
    if not is_own and not is_answered and not is_of_anonymous:
        require_rank(actor, key.user)
    now = timezone.now()
    # Also set the expiry, so that purge_keys() needs only the index of that column.
    end = now if key.expires_at is None else min(key.expires_at, now)
    with transaction.atomic():
        lock_users(key.user_id)
        live = ApiKey.objects.filter(pk=key.pk, revoked_at=None)
        if not live.update(revoked_at=now, expires_at=end):
            raise NotFound
        _record("revoke", actor, key)


def _require_key_manager(actor: Actor, user: User) -> None:
    """Raise Forbidden unless `actor` may create keys of `user`."""
    if actor.pk == user.pk or (user.is_service and may_manage_keys(actor, user)):
        return
    require_rank(actor, user)


def own_key(user: User, key_id: str) -> ApiKey:
    """Return a key of the user. Raises NotFound, also for keys of other users."""
    key = None
    if key_format.ID.fullmatch(key_id):  # PostgreSQL rejects text with NUL
        key = ApiKey.objects.filter(pk=key_id, user=user).select_related("user").first()
    if key is None:
        raise NotFound
    return key


def own_keys(user: User) -> list[ApiKey]:
    """Return all live keys of the user, newest first, then the most recent ended ones."""
    now = timezone.now()
    keys = ApiKey.objects.filter(user=user).select_related("user").order_by("-created_at", "-pk")
    is_live = live_condition(now)
    return [*keys.filter(is_live), *keys.exclude(is_live)[:ENDED_SHOWN]]


def state_of(key: ApiKey, now: datetime) -> str:
    """Return live, revoked, expired, or ended (older than the owner's `keys_valid_from`)."""
    state = key.state(now)
    return "ended" if state == "live" and key.created_at < key.user.keys_valid_from else state


def live_condition(now: datetime) -> Q:
    """The condition for keys that state_of() calls live.

    With "expires_at is empty or later", SQLite would sort all live keys for a page of the newest.
    """
    return Q(revoked_at=None) & ~Q(expires_at__lte=now) & ~ended_condition()


def ended_condition() -> Q:
    """The condition for keys older than their owner's `keys_valid_from`."""
    return Q(created_at__lt=F("user__keys_valid_from"))


def newest_key(user: User, after: datetime, **_of_signal: Any) -> datetime | None:
    """Return when the newest key of `user` was created, if after `after`.

    Receiver of signals.access_ending.
    """
    return sql.newest(user.api_keys.all(), after)


def purge_keys(before: datetime) -> int:
    """Delete keys that were revoked or expired before `before`; returns how many."""
    return delete_free(ApiKey.objects.filter(expires_at__lt=before))


def scopes_for(user: User, via: AuthContext | None = None) -> frozenset[Scope]:
    """Return the scopes that a new key of `user` may have."""
    return scopes_of(Role(user.role)) & (ALL_SCOPES if via is None else via.scopes)


def parse_networks(texts: Iterable[str]) -> list[str]:
    """Return CIDR texts in canonical form without duplicates. Raises RecordInvalid (`networks`)."""
    found = dict.fromkeys(str(_parse_network(text)) for text in texts)
    if len(found) > NETWORKS_MAX:
        text = _("At most %(number)d networks, please.") % {"number": NETWORKS_MAX}
        raise RecordInvalid({"networks": [text]})
    return list(found)


def _parse_network(text: str) -> Network:
    """Drop host bits; convert IPv4-mapped IPv6 to IPv4, as for client addresses."""
    shown = text.strip()[:NETWORK_MAX_LENGTH]
    try:
        # Rejects zones (fe80::1%eth0), which are local to one machine.
        network = ip_network(shown.replace("%", " "), strict=False)
    except ValueError:
        problem = _("“%(text)s” is not a network. Write it as 203.0.113.0/24 or 2001:db8::/32.")
        raise RecordInvalid({"networks": [problem % {"text": shown}]}) from None
    if isinstance(network, IPv6Network) and network.subnet_of(MAPPED_IPV4):
        inner = network.network_address.ipv4_mapped
        return ip_network(f"{inner}/{network.prefixlen - 96}")
    return network


def check_key_request(key_request: KeyRequest, user: User, via: AuthContext | None) -> None:
    """Raise RecordInvalid with all errors of a request, without creating the key."""
    _parse(key_request, user, via, timezone.now())


def _parse(key_request: KeyRequest, user: User, via: AuthContext | None, now: datetime) -> ApiKey:
    """Return an unsaved row without its key. Raises RecordInvalid with all errors."""
    errors: dict[str, list[str]] = {}
    found: dict[str, Any] = {}
    parsers: dict[str, Callable[[], Any]] = {
        "name": lambda: _parse_name(key_request.name),
        "scopes": lambda: _parse_scopes(key_request.scopes, user, via),
        "expires_at": lambda: _parse_end(key_request, via, now),
        "networks": lambda: _restrict_networks(parse_networks(key_request.networks), via),
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
        problem = _("Enter a name of 1 to %(number)d characters.") % {"number": NAME_MAX_LENGTH}
        raise RecordInvalid({"name": [problem]})
    return name


def _parse_scopes(names: Sequence[str], user: User, via: AuthContext | None) -> list[str]:
    """Return the scopes in canonical order without duplicates."""
    unknown = sorted(set(names) - set(Scope))
    if unknown or not names:
        problem = _("Choose one or more of: %(names)s.") % {"names": ", ".join(Scope)}
        raise RecordInvalid({"scopes": [problem]})
    asked = [scope for scope in Scope if scope in names]
    beyond = [scope for scope in asked if scope not in scopes_for(user, via)]
    if beyond:
        problem = _(
            "Your role or the API key of this request does not allow these scopes: %(names)s."
        )
        raise RecordInvalid({"scopes": [problem % {"names": ", ".join(beyond)}]})
    return [scope.value for scope in asked]


def _parse_end(key_request: KeyRequest, via: AuthContext | None, now: datetime) -> datetime | None:
    """Return the expiry; a key expires no later than the key that creates it."""
    last = _last_end(via, now)
    if key_request.is_endless:
        end = None
    elif key_request.expires_at is None:
        end = now + settings.API_KEY_DEFAULT_AGE
        return end if last is None else min(end, last)
    else:
        end = key_request.expires_at.astimezone(UTC)
        if end <= now:
            raise RecordInvalid({"expires_at": [_("Choose a time in the future.")]})
    if last is not None and (end is None or end > last):
        problem = _("Choose an end not later than %(end)s.")
        latest = f"{last:%Y-%m-%dT%H:%M:%SZ}"
        raise RecordInvalid({"expires_at": [problem % {"end": latest}]})
    return end


def _last_end(via: AuthContext | None, now: datetime) -> datetime | None:
    """Return the latest allowed expiry of a new key; None if there is no limit."""
    ends = [via.key.expires_at] if via and via.key and via.key.expires_at else []
    if settings.API_KEY_MAX_AGE:
        ends.append(now + settings.API_KEY_MAX_AGE)
    return min(ends, default=None)


def _restrict_networks(networks: list[str], via: AuthContext | None) -> list[str]:
    """Return `networks`, which must lie within those of the creating key; by default these."""
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


def _require_no_escalation(via: AuthContext | None, key: ApiKey) -> None:
    """Raise Forbidden if `key` has more rights than the key that requests its rotation."""
    if via is None or via.key is None:
        return
    outer = via.key.networks
    is_within = not outer or (
        key.networks and all(any(_lies_in(net, other) for other in outer) for net in key.networks)
    )
    if not (set(map(Scope, key.scopes)) <= via.scopes and is_within):
        raise Forbidden(_("The API key of this request has fewer rights than the key to rotate."))


def _successor(key: ApiKey, via: AuthContext | None, now: datetime) -> ApiKey:
    """Return the row of the new key, with the lifetime of the old one within the present limits."""
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


def _lock_owner(user: User) -> User:
    """Lock the user's row and return it as it is now; Forbidden if their access has ended since.

    Otherwise a request of a session or token that is being revoked could still create a key.
    """
    current = User.all_objects.select_for_update(no_key=True).filter(pk=user.pk).first()
    if current is None or current.credentials_valid_from != user.credentials_valid_from:
        raise Forbidden(_("Your access has changed meanwhile. Please sign in again."))
    return current


def _require_below_limit(user: User, now: datetime) -> None:
    """Raise RecordInvalid at LIVE_MAX keys. Call after _lock_owner(), to avoid a race."""
    if ApiKey.objects.filter(live_condition(now), user=user).count() >= LIVE_MAX:
        problem = _("You have %(number)d live keys, which is the maximum. Revoke one first.")
        raise RecordInvalid({"record": [problem % {"number": LIVE_MAX}]})


def _save(row: ApiKey) -> IssuedKey:
    """Generate the key, save the row, and notify the owner by mail (ASVS 6.3.7)."""
    parts = key_format.make()
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


def _record(action: str, actor: Actor, key: ApiKey, **detail: Any) -> None:
    audit_log.record(f"api:key:{action}", actor=actor, target=key.user, key=key.pk, **detail)
