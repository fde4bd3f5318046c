"""Which client address is trusted."""

import ipaddress

import pytest
from django.test import RequestFactory
from pytest_django.fixtures import Settings

from core.web.client_ip import client_ip, is_localhost, network_key, resolve

PROXY = (ipaddress.ip_network("10.0.0.0/8"),)


@pytest.mark.parametrize(
    ("peer", "header", "networks", "hops", "expected"),
    [
        ("203.0.113.9", "1.1.1.1", (), 0, "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 2.2.2.2", PROXY, 0, "2.2.2.2"),
        ("10.0.0.1", "1.1.1.1, 10.0.0.7", PROXY, 0, "1.1.1.1"),
        ("203.0.113.9", "127.0.0.1", PROXY, 0, "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, garbage", PROXY, 0, "10.0.0.1"),
        ("10.0.0.1", "", PROXY, 0, "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4:5678", PROXY, 0, "1.2.3.4"),
        ("10.0.0.1", "[2001:db8::1]:443", PROXY, 0, "2001:db8::1"),
        ("10.0.0.1", "fe80::1%eth0", PROXY, 0, "fe80::1"),
        ("10.0.0.1", "::ffff:1.2.3.4", PROXY, 0, "1.2.3.4"),
        ("::ffff:10.0.0.1", "9.9.9.9", PROXY, 0, "9.9.9.9"),
        ("10.0.0.1", ", ".join(["8.8.8.8"] * 300), PROXY, 0, "8.8.8.8"),
        ("127.0.0.1", "1.1.1.1, 2.2.2.2", (), 1, "2.2.2.2"),
        ("127.0.0.1", "1.1.1.1, 2.2.2.2", (), 2, "1.1.1.1"),
        ("127.0.0.1", "1.1.1.1", (), 5, "1.1.1.1"),
        ("", "1.1.1.1", (), 1, ""),
    ],
)
def test_the_client_is_the_right_most_address_not_of_a_trusted_proxy(
    peer: str, header: str, networks: tuple, hops: int, expected: str
) -> None:
    assert resolve(peer, header, networks, hops) == expected


def test_without_trusted_proxies_the_header_is_ignored(rf: RequestFactory) -> None:
    request = rf.get("/", REMOTE_ADDR="203.0.113.9", headers={"x-forwarded-for": "127.0.0.1"})

    assert client_ip(request) == "203.0.113.9"


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("", "unknown"),
    ],
)
def test_clients_are_counted_by_address_or_by_ipv6_network(address: str, key: str) -> None:
    assert network_key(address) == key


def test_a_client_on_localhost_is_recognised(rf: RequestFactory) -> None:
    assert is_localhost(rf.get("/", headers={"host": "localhost:8000"})) is True


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("192.0.2.1", {}),
        ("127.0.0.1", {"x-forwarded-for": "203.0.113.9"}),
        ("127.0.0.1", {"forwarded": "for=203.0.113.9"}),
        ("127.0.0.1", {"x-real-ip": "203.0.113.9"}),
        ("127.0.0.1", {"via": "1.1 proxy"}),
        ("127.0.0.1", {"host": "gate.example.com"}),
        ("127.0.0.1", {"x-forwarded-proto": "https"}),
        ("127.0.0.1", {"x-forwarded-host": "localhost"}),
        ("127.0.0.1", {"x-forwarded-server": "a"}),
        ("127.0.0.1", {"x-client-ip": "203.0.113.9"}),
        ("127.0.0.1", {"true-client-ip": "203.0.113.9"}),
        ("127.0.0.1", {"cf-connecting-ip": "203.0.113.9"}),
        ("127.0.0.1", {"connection": "close"}),
        ("127.0.0.1", {"origin": "https://gate.example.com"}),
        ("127.0.0.1", {"origin": "http://localhost:9999"}),
        ("127.0.0.1", {"origin": "http://localhost:x"}),
        ("127.0.0.1", {"origin": "null"}),
        ("127.0.0.1", {"referer": "http://gate.example.com/sign-in"}),
        ("", {}),
    ],
)
def test_a_client_that_may_be_proxied_is_not_localhost(
    rf: RequestFactory, settings: Settings, address: str, headers: dict[str, str]
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    request = rf.get("/", REMOTE_ADDR=address, headers={"host": "localhost", **headers})

    assert is_localhost(request) is False


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/0.9", ""])
def test_a_request_by_http_1_0_counts_as_proxied(rf: RequestFactory, protocol: str) -> None:
    request = rf.get("/", headers={"host": "localhost:8000"}, SERVER_PROTOCOL=protocol)

    assert is_localhost(request) is False


@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2", "HTTP/2.0"])
def test_a_browser_on_localhost_is_recognised(rf: RequestFactory, protocol: str) -> None:
    headers = {
        "host": "localhost:8000",
        "origin": "http://localhost:8000",
        "referer": "http://localhost:8000/sign-in",
        "connection": "keep-alive",
        "x-requested-with": "XMLHttpRequest",
    }

    assert is_localhost(rf.post("/", headers=headers, SERVER_PROTOCOL=protocol)) is True


def test_with_a_public_url_no_client_is_localhost(rf: RequestFactory, settings: Settings) -> None:
    settings.PUBLIC_URL_IS_LOCAL = False

    assert is_localhost(rf.get("/", headers={"host": "localhost"})) is False
