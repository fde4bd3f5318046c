"""The proxy chain of a request, hop by hop, and its problems."""

import ipaddress
import random
from datetime import UTC, datetime, timedelta

import pytest

from core.web.client_ip import resolve
from moderation.proxies.diagnosis import (
    HopState,
    ProxyObservation,
    Traffic,
    Trust,
    client_of,
    hops_of,
    problems,
)

NO_TRAFFIC = Traffic()
NOW = datetime(2026, 11, 21, tzinfo=UTC)
DOCKER, CLIENT, FORGED = "172.18.0.2", "203.0.113.9", "198.51.100.4"


def networks(*texts: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


def seen(peer: str, forwarded_for: str = "", **fields: object) -> ProxyObservation:
    """A request; with X-Forwarded-For unless that is empty."""
    headers = ("HTTP_X_FORWARDED_FOR",) if forwarded_for else ()
    usual = {"at": NOW, "headers": headers, "scheme": "http", "stated": "", "host": "localhost"}
    return ProxyObservation(peer=peer, forwarded_for=forwarded_for, **(usual | fields))  # type: ignore[arg-type]


def codes(
    *requests: ProxyObservation, trust: Trust, traffic: Traffic = NO_TRAFFIC
) -> dict[str, str]:
    """{problem: address}"""
    return {str(one.code): one.address for one in problems(requests, trust, traffic)}


def test_every_hop_is_listed_with_its_result() -> None:
    trust = Trust(networks("172.16.0.0/12", "10.0.0.0/8"))
    request = seen(DOCKER, f"nonsense, {FORGED}, {CLIENT}, 10.0.0.5")

    assert [tuple(hop) for hop in hops_of(request, trust)] == [
        (DOCKER, HopState.TRUSTED, "172.16.0.0/12"),
        ("10.0.0.5", HopState.TRUSTED, "10.0.0.0/8"),
        (CLIENT, HopState.CLIENT, ""),
        (FORGED, HopState.IGNORED, ""),
        ("nonsense", HopState.UNREADABLE, ""),
    ]


def test_only_the_counted_hops_are_trusted() -> None:
    request = seen(DOCKER, f"{FORGED}, {CLIENT}, 10.0.0.5")

    assert [hop.state for hop in hops_of(request, Trust(hops=2))] == [
        HopState.COUNTED,
        HopState.COUNTED,
        HopState.CLIENT,
        HopState.IGNORED,
    ]


def test_an_unknown_peer_is_the_whole_chain() -> None:
    assert [tuple(hop) for hop in hops_of(seen("", CLIENT), Trust())] == [
        ("", HopState.UNREADABLE, "")
    ]


def test_the_chain_ends_at_the_client_that_limits_and_bans_see() -> None:
    dice = random.Random(7)
    pool = [DOCKER, CLIENT, FORGED, "10.0.0.5", "::1", "[2001:db8::1]:80", "nonsense", ""]
    for _ in range(2000):
        peer = dice.choice(pool)
        header = ",".join(dice.choices(pool, k=dice.randrange(5)))
        trust = Trust(
            dice.choice([(), networks("10.0.0.0/8", "172.16.0.0/12", "::1/128")]),
            dice.randrange(3),
        )
        expected = resolve(peer, header, trust.networks, trust.hops)

        request = seen(peer, header)
        clients = [hop.text for hop in hops_of(request, trust) if hop.state == HopState.CLIENT]

        assert client_of(request, trust) == expected
        assert clients == ([expected] if expected else [])


# What is wrong


@pytest.mark.parametrize(
    ("request_", "trust"),
    [
        (seen(CLIENT), Trust()),
        (seen("127.0.0.1"), Trust()),
        # A stranger's forged header at a server without a proxy is ignored and harmless.
        (seen(CLIENT, FORGED), Trust()),
        (seen(DOCKER, CLIENT), Trust(networks("172.16.0.0/12"))),
        (seen(DOCKER, CLIENT, scheme="https"), Trust(networks("172.16.0.0/12"), is_https=True)),
        (seen(DOCKER, f"{FORGED}, {CLIENT}"), Trust(hops=1)),
        # Named networks decide; the number of hops is for servers that cannot name them.
        (seen(CLIENT), Trust(networks("172.16.0.0/12"), hops=2)),
        # Past the proxy, but nothing that it says is trusted.
        (seen(CLIENT), Trust(networks("172.16.0.0/12"))),
        (seen(DOCKER, CLIENT), Trust(networks("10.0.0.0/8", "172.16.0.0/12", "2400:cb00::/32"))),
    ],
)
def test_a_correct_chain_gives_no_warning(request_: ProxyObservation, trust: Trust) -> None:
    assert codes(request_, trust=trust) == {}


@pytest.mark.parametrize("header", ["HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_VIA"])
def test_a_proxy_outside_the_settings_is_undeclared(header: str) -> None:
    request = seen(DOCKER, headers=(header,))

    assert codes(request, trust=Trust()) == {"undeclared_proxy": DOCKER}


def test_forwarded_addresses_of_an_untrusted_peer_are_a_warning() -> None:
    trust = Trust(networks("10.0.0.0/8"))

    assert codes(seen(DOCKER, CLIENT), trust=trust) == {"untrusted_peer": DOCKER}
    assert codes(seen(CLIENT, FORGED), trust=trust) == {"untrusted_peer": CLIENT}


@pytest.mark.parametrize(
    ("network", "is_wide"),
    [("0.0.0.0/0", True), ("0.0.0.0/1", True), ("::/0", True), ("2000::/3", True),
     ("10.0.0.0/8", False), ("104.16.0.0/13", False), ("fc00::/7", False)],
)  # fmt: skip
def test_trust_in_a_large_part_of_the_internet_is_a_warning(network: str, is_wide: bool) -> None:
    found = codes(trust=Trust(networks(network)))

    assert found == ({"wide_trust": network} if is_wide else {})


def test_missing_counted_proxies_are_a_warning() -> None:
    assert codes(seen(CLIENT), trust=Trust(hops=1)) == {"no_proxy": CLIENT}
    assert codes(seen(DOCKER, CLIENT), trust=Trust(hops=2)) == {"no_proxy": DOCKER}


def test_http_behind_a_public_https_url_is_a_warning() -> None:
    trust = Trust(networks("172.16.0.0/12"), is_https=True)

    assert codes(seen(DOCKER, CLIENT), trust=trust) == {"plain_http": DOCKER}
    assert codes(seen(CLIENT), trust=trust) == {"insecure_cookies": CLIENT}


@pytest.mark.parametrize("acts", [4, 5])
def test_all_users_from_one_proxy_address_is_a_warning(acts: int) -> None:
    request = seen(DOCKER, f"{CLIENT}, 192.0.2.1")
    traffic = Traffic(acts, frozenset({"192.0.2.1"}))

    found = codes(request, trust=Trust(hops=1), traffic=traffic)

    assert found == ({"one_address": "192.0.2.1"} if acts == 5 else {})


def test_a_single_user_behind_a_correct_proxy_gives_no_warning() -> None:
    trust = Trust(networks("172.16.0.0/12"))

    assert codes(seen(DOCKER, CLIENT), trust=trust, traffic=Traffic(99, frozenset({CLIENT}))) == {}


def test_two_addresses_are_not_one() -> None:
    traffic = Traffic(99, frozenset({DOCKER, CLIENT}))

    assert set(codes(seen(DOCKER, CLIENT), trust=Trust(), traffic=traffic)) == {"undeclared_proxy"}


def test_each_problem_is_reported_once_by_the_newest_request() -> None:
    old, new = seen("10.0.0.1", CLIENT), seen(DOCKER, CLIENT, at=NOW + timedelta(minutes=1))

    (warned,) = problems([old, new], Trust(), Traffic())

    assert (warned.address, warned.at) == (DOCKER, new.at)
