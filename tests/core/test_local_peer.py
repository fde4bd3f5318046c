"""Which process is the peer of a connection, according to the kernel."""

import ipaddress
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from core.web import local_peer
from core.web.local_peer import is_own_client

CALLER = """
import socket, sys
held = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sys.stdin.read()
"""
HERE = ipaddress.ip_address("127.0.0.1")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process may be the server of other tests: their connections are left aside."""
    connections = local_peer._connections
    before = {each.inode for each in connections()}
    monkeypatch.setattr(
        local_peer,
        "_connections",
        lambda: [each for each in connections() if each.inode not in before],
    )


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def _connect(sockets: ExitStack, address: str, to: str) -> tuple[str, str]:
    """A connection at whose both ends is this process; the ports of the client and the server."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    ear = sockets.enter_context(socket.create_server((address, 0), family=family))
    port = ear.getsockname()[1]
    client = sockets.enter_context(closing(socket.socket(socket.AF_INET6 if ":" in to else family)))
    client.connect((to, port))
    sockets.enter_context(ear.accept()[0])
    return str(client.getsockname()[1]), str(port)


@pytest.mark.parametrize("to", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_an_own_process_is_found(sockets: ExitStack, to: str) -> None:
    client, server = _connect(sockets, "127.0.0.1", to)

    assert is_own_client(HERE, client, server) is True


def test_an_own_process_is_found_by_ipv6(sockets: ExitStack) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    client, server = _connect(sockets, "::1", "::1")

    assert is_own_client(ipaddress.ip_address("::1"), client, server) is True


def test_a_server_process_is_not_a_local_client(sockets: ExitStack) -> None:
    client, server = _connect(sockets, "127.0.0.1", "127.0.0.1")
    assert is_own_client(HERE, client, server) is True
    ear = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, str(ear.getsockname()[1])], stdin=subprocess.PIPE
    )
    sockets.callback(caller.communicate)
    sockets.enter_context(ear.accept()[0])

    assert is_own_client(HERE, client, server) is False


def test_a_listening_process_is_not_a_local_client(sockets: ExitStack) -> None:
    client, server = _connect(sockets, "127.0.0.1", "127.0.0.1")
    sockets.enter_context(socket.create_server(("", 0)))

    assert is_own_client(HERE, client, server) is False


def test_a_process_of_another_user_is_not_a_local_client(
    sockets: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, server = _connect(sockets, "127.0.0.1", "127.0.0.1")
    monkeypatch.setattr("os.geteuid", lambda: 4_000_000)

    assert is_own_client(HERE, client, server) is False


@pytest.mark.parametrize("ports", [("", "8000"), ("x", "8000"), ("1", "1"), ("-1", "80")])
def test_an_unknown_peer_is_not_a_local_client(ports: tuple[str, str]) -> None:
    assert is_own_client(HERE, *ports) is False


def test_a_closed_peer_is_not_a_local_client() -> None:
    with ExitStack() as opened:
        client, server = _connect(opened, "127.0.0.1", "127.0.0.1")

    assert is_own_client(HERE, client, server) is False


def test_an_unreadable_process_is_not_a_local_client(
    sockets: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, server = _connect(sockets, "127.0.0.1", "127.0.0.1")
    monkeypatch.setattr(local_peer, "_held_sockets", lambda: iter([(1, {"1"})]))

    assert is_own_client(HERE, client, server) is False


def test_without_kernel_information_headers_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    assert is_own_client(HERE, "1", "1") is True


@pytest.mark.parametrize(
    ("ear", "serves"),
    [
        ("00000000:1F40", True),
        ("0100A8C0:1F40", True),
        ("0100007F:1F40", False),
        ("00000000000000000000000000000000:1F40", True),
        ("00000000000000000000000001000000:1F40", False),
        ("0000000000000000FFFF00000100007F:1F40", False),
    ],
)
def test_a_process_listening_beyond_localhost_is_a_server(ear: str, serves: bool) -> None:
    if sys.byteorder != "little":
        pytest.skip("written as little machines have it")
    listening = local_peer.Connection(ear, "00000000:0000", "0A", 0, "7")

    assert local_peer._serves_others([listening], {"7"}, known={"7"}) is serves
