"""Which counter counts a client when there are more clients than the table has room for.

An attacker with a hundred thousand addresses a minute could fill any table. A live counter is never
deleted for that, because its limit would be open. Instead new clients share counters: first by /24
or /48, then by one of a fixed number of groups. A client with a counter keeps it. A shared counter
lasts until its end, so the clients in it do not start over when the flood is past.

One prefix alone cannot force others to share: a /48 of IPv6 has as many networks as a botnet. From
an eighth of the table on, each /24 or /48 and each /16 or /32 may create only so many counters in
an hour. After that, new clients of the prefix share one counter.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import IntEnum
from ipaddress import IPv6Address, ip_network
from typing import Any, TypeVar

from django.core.cache import caches
from django.utils.crypto import salted_hmac

from core.web.client_ip import network_key, parse_address

Counted = TypeVar("Counted")
# No limit has a longer window.
SHARE_SECONDS = 3600


class Crowd(IntEnum):
    """How full the table is, and so what a new client is counted by."""

    NONE = 0  # by itself
    NETWORKS = 1  # with its network
    GROUPS = 2  # with one of a fixed number of groups
    CLOSED = 3  # as GROUPS; single-use actions are refused


class NoRoom(Exception):
    """The counter does not exist, and may not be created."""


def names_of(whose: str, address: str = "", name: str = "") -> list[str]:
    """The counter names, from the finest to the coarsest: one for each Crowd up to GROUPS."""
    client = network_key(address) if address else ""
    alone = ":".join(part for part in (whose, client, name) if part)
    shared = ":".join(part for part in (whose, _around(address, 24, 48), name) if part)
    group = _group(f"{whose}:{_around(address, 16, 32)}:{name}")
    return [alone, f"around:{shared}" if address else alone, f"group:{whose}:{group}"]


def count_by(
    names: Sequence[str], count: Callable[[str], Counted], *, origin: str
) -> tuple[str, Counted]:
    """Call `count` with the first of `names` that exists, else with the finest that has room.

    origin: the client's address, "" for none. Returns the name and the result of `count`.
    """
    store: Any = caches["counters"]
    crowd = Crowd(store.crowd())
    is_quiet = crowd is Crowd.NONE and not store.was_crowded()
    # A client with a single name is known, such as a device that has signed in before.
    if is_quiet or len(names) == 1:
        return names[0], count(names[0])
    with store.only_known():
        for name in names:
            with suppress(NoRoom):
                return name, count(name)
    prefix = _used_up(store, origin, crowd) if parse_address(origin) else ""
    name = names[min(crowd, Crowd.GROUPS)]
    if prefix:
        # The part of a group's name before its number says what is counted.
        name = f"share:{names[Crowd.GROUPS].rpartition(':')[0]}:{prefix}"
    return name, count(name)


def _used_up(store: Any, origin: str, crowd: Crowd) -> str:
    """The prefix of `origin` that has created all counters it may, else ""; counts one more."""
    narrow, wide = _around(origin, 24, 48), _around(origin, 16, 32)
    if store.get(f"made:{narrow}", 0) >= store.narrow_share:
        return narrow
    if crowd >= Crowd.GROUPS:
        return wide if store.get(f"made:{wide}", 0) >= store.wide_share else ""
    if store.hit(f"made:{wide}", SHARE_SECONDS)[0] > store.wide_share:
        return wide
    store.hit(f"made:{narrow}", SHARE_SECONDS)
    return ""


def _around(address: str, bits: int, bits_of_ipv6: int) -> str:
    parsed = parse_address(address) if address else None
    if parsed is None:
        return "unknown" if address else ""
    wanted = bits_of_ipv6 if isinstance(parsed, IPv6Address) else bits
    return str(ip_network((parsed, wanted), strict=False))


def _group(text: str) -> int:
    """The group of a client. The hash is keyed, so clients cannot predict their group."""
    store: Any = caches["counters"]
    digest = salted_hmac("core.client_groups", text, algorithm="sha256").digest()
    return int.from_bytes(digest[:8]) % int(store.groups)
