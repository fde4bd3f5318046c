"""Whom a counter stands for when there are more strangers than the table of counters has room for.

Whoever comes from a hundred thousand addresses a minute could fill any table. No counter in force
is ever thrown away for that, because it would open its limit. Instead newcomers share: first by
their /24 or /48, then by one of a fixed number of groups. Who has a counter keeps it; a shared one
counts until its end, so that nobody begins anew when the flood is over.

One prefix alone brings nobody else to that: a /48 of IPv6 has as many networks as a botnet. From an
eighth of the table on, each /24 or /48, and each /16 or /32, may only make so many counters in an
hour. Newcomers from one that has made them share one counter of that prefix.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import IntEnum
from ipaddress import IPv6Address, ip_network
from typing import Any, TypeVar

from django.core.cache import caches
from django.utils.crypto import salted_hmac

from accounts.client import network_key, parse_address

Counted = TypeVar("Counted")
# Windows of limits are no longer.
SHARE_SECONDS = 3600


class Crowd(IntEnum):
    """How full the table is: what a newcomer is counted by."""

    NONE = 0  # alone
    NETWORKS = 1  # with the network around
    GROUPS = 2  # with a group, of which there is a fixed number
    CLOSED = 3  # as GROUPS; and what must work once only is refused


class NoRoom(Exception):
    """There is no such counter, and none is made."""


def names_of(whose: str, address: str = "", name: str = "") -> list[str]:
    """The names to count by, from the finest to the coarsest; one for each Crowd up to GROUPS."""
    client = network_key(address) if address else ""
    alone = ":".join(part for part in (whose, client, name) if part)
    shared = ":".join(part for part in (whose, _around(address, 24, 48), name) if part)
    group = _group(f"{whose}:{_around(address, 16, 32)}:{name}")
    return [alone, f"around:{shared}" if address else alone, f"group:{whose}:{group}"]


def count_by(
    names: Sequence[str], count: Callable[[str], Counted], *, origin: str
) -> tuple[str, Counted]:
    """`count` under the first of `names` that counts already, else under the one that has room.

    origin: the address that causes it, "" for none. Returns that name with what `count` gave.
    """
    store: Any = caches["counters"]
    crowd = Crowd(store.crowd())
    is_quiet = crowd is Crowd.NONE and not store.was_crowded()
    # Who has one name only is known, such as the device of somebody who has signed in before.
    if is_quiet or len(names) == 1:
        return names[0], count(names[0])
    with store.only_known():
        for name in names:
            with suppress(NoRoom):
                return name, count(name)
    prefix = _used_up(store, origin, crowd) if parse_address(origin) else ""
    name = names[min(crowd, Crowd.GROUPS)]
    if prefix:
        # Of a group's name, the part before its number says what is counted.
        name = f"share:{names[Crowd.GROUPS].rpartition(':')[0]}:{prefix}"
    return name, count(name)


def _used_up(store: Any, origin: str, crowd: Crowd) -> str:
    """The prefix around `origin` that has made as many counters as it may, else ""; counts one."""
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
    """Nobody outside can tell who shares a group with whom."""
    store: Any = caches["counters"]
    digest = salted_hmac("accounts.crowds", text, algorithm="sha256").digest()
    return int.from_bytes(digest[:8]) % int(store.groups)
