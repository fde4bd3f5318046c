"""Requests to URLs that a user has named reach public addresses and allowed networks only."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from core.http import FetchError, send_guarded
from core.http.guarded import AddressRefused, is_allowed, literal_address
from devtools.servers.certificates import write_certificate

LOOPBACK = (ip_network("127.0.0.0/8"),)
REFUSED = [
    "0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.8.8.8", "169.254.169.254",
    "172.16.0.1", "192.0.0.1", "192.168.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1",
    "64:ff9b:1::808:808", "2002:7f00:1::", "2002:a00:1::1", "2001:db8::1",
    # Teredo: the client is 127.0.0.1, written inverted.
    "2001:0:808:808::80ff:fffe",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", REFUSED)
def test_other_addresses_are_refused(address: str) -> None:
    assert not is_allowed(ip_address(address), ())


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(ip_address(address), ())
    assert not is_allowed(ip_address(address), (), only_listed=True)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.2.3", "10.1.0.0/16"),
        ("::ffff:10.1.2.3", "10.1.0.0/16"),
        ("127.0.0.1", "127.0.0.1/32"),
        ("fd00::5", "fd00::/8"),
        ("8.8.8.8", "8.8.8.8/32"),
    ],
)
def test_named_networks_are_allowed(address: str, network: str) -> None:
    for only_listed in (False, True):
        assert is_allowed(ip_address(address), (ip_network(network),), only_listed=only_listed)


def test_one_network_allows_no_other() -> None:
    assert not is_allowed(ip_address("10.2.0.1"), (ip_network("10.1.0.0/16"),))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("[::1]", "::1"),
        ("::ffff:7f00:1", "::ffff:127.0.0.1"),
        ("example.com", None),
        ("127.0.0.1.example.com", None),
    ],
)
def test_every_spelling_of_an_address_is_known(host: str, address: str | None) -> None:
    assert literal_address(host) == (address and ip_address(address))


@contextmanager
def listening(tls: ssl.SSLContext | None = None, reply: bytes = b"") -> Iterator[Any]:
    """A server on 127.0.0.1: (port, requests)."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _peer = server.accept()
                    with (
                        connection
                        if tls is None
                        else tls.wrap_socket(connection, server_side=True) as stream
                    ):
                        request = b""
                        while not request.endswith(b"{}") and (part := stream.recv(65536)):
                            request += part
                        requests.append(request)
                        stream.sendall(reply or b"HTTP/1.1 204 No Content\r\n\r\n")
                except (ssl.SSLError, ConnectionError):
                    continue
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], requests
        # accept() in the thread ends with the socket.
        server.shutdown(socket.SHUT_RDWR)


def post(url: str, allowed: Any = (), **options: Any) -> Any:
    return send_guarded(
        url, headers={}, data=b"{}", allowed=allowed, **{"seconds": 5, "max_bytes": 100} | options
    )


def resolve_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """What names resolve to: the first answer to the first question; returns the questions."""
    asked: list[str] = []
    real = socket.getaddrinfo
    left = list(answers)

    def getaddrinfo(host: str, port: int, *args: Any, **options: Any) -> Any:
        asked.append(host)
        addresses = left.pop(0) if len(left) > 1 else left[0]
        return [found for each in addresses for found in real(each, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f.1", "0.0.0.0", "0", "[::ffff:127.0.0.1]", "localhost"],
)
def test_no_spelling_of_this_machine_is_reached(host: str) -> None:
    with listening() as (port, requests):
        with pytest.raises(FetchError) as raised:
            post(f"http://{host}:{port}/")
        with pytest.raises(FetchError) as raised_too:
            post(f"https://{host}:{port}/")

        assert isinstance(raised.value.__cause__, AddressRefused)
        assert isinstance(raised_too.value.__cause__, AddressRefused)
        assert requests == []


def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, ["8.8.8.8", "127.0.0.1"])

    with pytest.raises(FetchError) as raised:
        post("https://mixed.example.com/")

    cause = raised.value.__cause__
    assert isinstance(cause, AddressRefused)
    assert cause.address == "127.0.0.1"


def test_a_name_is_resolved_once_and_the_checked_address_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = resolve_to(monkeypatch, ["127.0.0.1"], ["10.0.0.1"])

    with listening() as (port, requests):
        assert post(f"http://hooks.example.com:{port}/x", LOOPBACK).status == 204

    assert asked == ["hooks.example.com"]
    assert b"Host: hooks.example.com" in requests[0]


def test_tls_verifies_the_name_and_not_the_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any
) -> None:
    write_certificate(tmp_path, "hooks.example.com")
    settings.PROVIDER_CA_FILE = str(tmp_path / "certificate.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    resolve_to(monkeypatch, ["127.0.0.1"])

    with listening(tls) as (port, requests):
        assert post(f"https://hooks.example.com:{port}/", LOOPBACK).status == 204
        with pytest.raises(FetchError) as raised:
            post(f"https://other.example.com:{port}/", LOOPBACK)

    assert isinstance(raised.value.__cause__, ssl.SSLCertVerificationError)
    assert len(requests) == 1


def test_a_redirect_is_an_answer() -> None:
    with listening() as (port, requests):
        moved = f"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:{port}/inside\r\n\r\nbody"
        with listening(reply=moved.encode()) as (first, _requests):
            answer = post(f"http://127.0.0.1:{first}/", LOOPBACK)

        assert (answer.status, answer.body) == (307, b"body")
        assert requests == []


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as (proxy, asked):
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        with listening() as (port, requests):
            assert post(f"http://127.0.0.1:{port}/", LOOPBACK).status == 204

        assert (len(requests), asked) == (1, [])


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/", "data:,x", "gopher://x"])
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(FetchError):
        post(url, LOOPBACK)


@pytest.mark.parametrize("path", ["/a\r\nX-Evil: 1", "/a b", "/\0"])
def test_a_url_adds_no_header(path: str) -> None:
    with listening() as (port, requests):
        with pytest.raises(FetchError):
            post(f"http://127.0.0.1:{port}{path}", LOOPBACK)

        assert requests == []


def test_the_text_of_an_error_names_no_url() -> None:
    with listening() as (port, _requests):
        pass

    with pytest.raises(FetchError) as raised:
        post(f"http://127.0.0.1:{port}/secret-path", LOOPBACK)

    assert "secret-path" not in str(raised.value)
    assert isinstance(raised.value.__cause__, ConnectionRefusedError)
