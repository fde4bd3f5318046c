"""The path of a request through proxies, hop by hop, and what is wrong with it. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import chain
from typing import NamedTuple

from core.web.client_ip import (
    OWN_NETWORKS,
    Address,
    Network,
    forwarded_entries,
    is_in,
    parse_address,
    trusted_proxy_chain,
)

# IP version -> shortest prefix of a network of proxies; a shorter one trusts strangers.
SMALLEST_PREFIX = {4: 8, 6: 16}
# Events from a single address that suggest a proxy.
MIN_EVENTS = 5


class HopState(StrEnum):
    """How one hop is treated."""

    TRUSTED = "trusted"  # in TRUSTED_PROXIES; its forwarding headers count
    COUNTED = "counted"  # one of the TRUST_PROXY hops; its forwarding headers count
    CLIENT = "client"  # the first hop that is not trusted
    UNREADABLE = "unreadable"  # not an address
    IGNORED = "ignored"  # left of the client, who may have forged it


class ProblemCode(StrEnum):
    """What can be wrong; moderation.proxies.messages has the texts."""

    ONE_ADDRESS = "one_address"
    UNDECLARED_PROXY = "undeclared_proxy"
    UNTRUSTED_PEER = "untrusted_peer"
    WIDE_TRUST = "wide_trust"
    NO_PROXY = "no_proxy"
    PLAIN_HTTP = "plain_http"
    INSECURE_COOKIES = "insecure_cookies"


@dataclass(frozen=True, slots=True)
class ProxyObservation:
    """What one request shows about the proxies. headers: its forwarding headers.

    scheme: http or https, as the server sees it; stated: X-Forwarded-Proto, "" for none.
    """

    at: datetime
    peer: str
    forwarded_for: str
    headers: tuple[str, ...]
    scheme: str
    stated: str
    host: str

    @property
    def is_forwarded(self) -> bool:
        return bool(self.headers)


@dataclass(frozen=True, slots=True)
class Trust:
    """The settings that decide: TRUSTED_PROXIES, TRUST_PROXY, and whether PUBLIC_URL is https."""

    networks: tuple[Network, ...] = ()
    hops: int = 0
    is_https: bool = False

    @property
    def is_declared(self) -> bool:
        return bool(self.networks or self.hops)


class Hop(NamedTuple):
    """One address on the path, nearest first. network: the trusted network that holds it."""

    text: str
    state: HopState
    network: str = ""


class ProxyProblem(NamedTuple):
    """One problem. address: what it is about; at: when a request showed it, None for none."""

    code: ProblemCode
    address: str = ""
    at: datetime | None = None


class Traffic(NamedTuple):
    """The newest audit events of the last hours: how many, and from which addresses."""

    events: int = 0
    addresses: frozenset[str] = frozenset()


def client_of(seen: ProxyObservation, trust: Trust) -> str:
    """The client's address, "" if the peer is unknown."""
    trusted = _trusted_chain(seen, trust)
    return str(trusted[-1]) if trusted else ""


def hops_of(seen: ProxyObservation, trust: Trust) -> list[Hop]:
    """Every hop from the peer to the left end of X-Forwarded-For."""
    trusted = _trusted_chain(seen, trust)
    if not trusted:
        return [Hop(seen.peer, HopState.UNREADABLE)]
    *proxies, client = trusted
    hops = [_proxy(address, trust) for address in proxies]
    hops.append(Hop(str(client), HopState.CLIENT))
    return hops + [
        _beyond(entry) for entry in forwarded_entries(seen.forwarded_for)[len(proxies) :]
    ]


def _trusted_chain(seen: ProxyObservation, trust: Trust) -> tuple[Address, ...]:
    return trusted_proxy_chain(seen.peer, seen.forwarded_for, trust.networks, trust.hops)


def _proxy(address: Address, trust: Trust) -> Hop:
    for network in trust.networks:
        if is_in(address, (network,)):
            return Hop(str(address), HopState.TRUSTED, str(network))
    return Hop(str(address), HopState.COUNTED)


def _beyond(entry: str) -> Hop:
    address = parse_address(entry)
    if address is None:
        return Hop(entry.strip()[:60], HopState.UNREADABLE)
    return Hop(str(address), HopState.IGNORED)


def problems(
    seen: Iterable[ProxyObservation], trust: Trust, traffic: Traffic
) -> list[ProxyProblem]:
    """All problems, each once, as shown by the newest request."""
    newest_first = sorted(seen, key=lambda one: one.at, reverse=True)
    all_of_them = chain.from_iterable((
        _wide(trust.networks),
        *(_of_request(one, trust) for one in newest_first),
        _one_address(newest_first, trust, traffic),
    ))  # fmt: skip
    found: dict[ProblemCode, ProxyProblem] = {}
    for one in all_of_them:
        found.setdefault(one.code, one)
    return [found[code] for code in ProblemCode if code in found]


def _wide(networks: Sequence[Network]) -> Iterator[ProxyProblem]:
    for network in networks:
        own = any(
            network.version == one.version and network.subnet_of(one)  # type: ignore[arg-type]  # same version
            for one in OWN_NETWORKS
        )
        if network.prefixlen < SMALLEST_PREFIX[network.version] and not own:
            yield ProxyProblem(ProblemCode.WIDE_TRUST, str(network))


def _of_request(seen: ProxyObservation, trust: Trust) -> Iterator[ProxyProblem]:
    peer = parse_address(seen.peer)
    if seen.is_forwarded and not trust.is_declared:
        if peer is None or is_in(peer, OWN_NETWORKS):
            yield ProxyProblem(ProblemCode.UNDECLARED_PROXY, seen.peer, seen.at)
    elif seen.is_forwarded and trust.networks and (peer is None or not is_in(peer, trust.networks)):
        yield ProxyProblem(ProblemCode.UNTRUSTED_PEER, seen.peer, seen.at)
    if not trust.networks and len(forwarded_entries(seen.forwarded_for)) < trust.hops:
        yield ProxyProblem(ProblemCode.NO_PROXY, seen.peer, seen.at)
    if trust.is_https and seen.scheme != "https":
        problem = ProblemCode.PLAIN_HTTP if seen.is_forwarded else ProblemCode.INSECURE_COOKIES
        yield ProxyProblem(problem, seen.peer, seen.at)


def _one_address(
    seen: Sequence[ProxyObservation], trust: Trust, traffic: Traffic
) -> Iterator[ProxyProblem]:
    """All events come from one address that forwards others, so it is a proxy."""
    if traffic.events < MIN_EVENTS or len(traffic.addresses) != 1:
        return
    (only,) = traffic.addresses
    for one in seen:
        beyond = [hop for hop in hops_of(one, trust) if hop.state == HopState.IGNORED]
        if one.is_forwarded and client_of(one, trust) == only:
            if beyond or _is_proxy(only, trust):
                yield ProxyProblem(ProblemCode.ONE_ADDRESS, only, one.at)
            return


def _is_proxy(text: str, trust: Trust) -> bool:
    address = parse_address(text)
    return address is not None and is_in(address, trust.networks)
