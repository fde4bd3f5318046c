"""A stopping process accepts no new connection and loses no existing one."""

import errno
import socket
from collections.abc import Iterator

import pytest

from config.server.shutdown import drop_new_connections, listeners

SYN_SENT = 2  # the first byte of TCP_INFO: linux/tcp.h, net/tcp_states.h


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_no_new_connection_is_accepted(listener: socket.socket) -> None:
    drop_new_connections(listener)
    with socket.socket() as client:
        client.setblocking(False)
        asked = client.connect_ex(listener.getsockname())
        state = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]

    assert (asked, state) == (errno.EINPROGRESS, SYN_SENT)


def test_connections_made_before_are_still_served(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()) as waiting:
        drop_new_connections(listener)
        waiting.sendall(b"a form")
        taken, _address = listener.accept()
        with taken:
            assert taken.recv(10) == b"a form"
            taken.sendall(b"an answer")
        assert waiting.recv(10) == b"an answer"


def test_the_listening_sockets_of_a_process_are_found_and_no_others(
    listener: socket.socket,
) -> None:
    address = listener.getsockname()
    with socket.create_connection(address) as client, listener.accept()[0] as taken:
        found = list(listeners())
        names = {one.getsockname() for one in found}
        kinds = {one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for one in found}
        for one in found:
            one.close()

        assert address in names
        assert client.getsockname() not in names
        assert (kinds, taken.getsockname()) == ({1}, address)
