"""Clients that stop in the middle of a request or send slowly; malformed bodies.

The tests check by order and not by time that no client waits for slow ones: responses arrive while
every slow request is still open. `make bench ARGS=slow` measures response times beside them.
"""

import http.client
import os
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devtools.servers.databases import InstanceData
from devtools.servers.fronts import FRONTS, SITE
from devtools.servers.gatehouse import Gatehouse, is_live
from devtools.servers.processes import free_port, wait_for
from devtools.servers.quick import QuickServer, warmed
from devtools.servers.slow import BODY, CHUNK, HEAD, Connect, SlowClients, by_tls, direct
from tests.forward_auth.test_forward_proxies import raise_file_limit

StartGatehouse = Callable[..., Gatehouse]
# How long the server waits for a body.
WAITING = """
import django
django.setup()
from config.server import dispatch as serving
serving.BODY_SECONDS = {seconds}
from config.server.processes import run_server
run_server()
"""
NOTED = """
from audit.models import AuditEvent
result = AuditEvent.objects.filter(action="account:session:start").count()
"""
BESIDES = ["/auth/check", "/.well-known/jwks.json", "/health/live", "/health/ready", "/sign-in"]
ANSWERS = [401, 200, 200, 200, 200]


@pytest.fixture
def server(gatehouse_server: StartGatehouse, sqlite_data: InstanceData) -> Gatehouse:
    raise_file_limit(4000)
    return gatehouse_server(
        sqlite_data, PUBLIC_URL=f"https://{SITE}", TRUSTED_PROXIES="127.0.0.1", LOGIN_MAX="1000"
    )


@pytest.fixture
def patient(sqlite_data: InstanceData, tmp_path: Path) -> Iterator[int]:
    """The port of a server that waits longer for bodies than any test takes."""
    raise_file_limit(4000)
    more = {"PUBLIC_URL": f"https://{SITE}", "TRUSTED_PROXIES": "127.0.0.1", "LOGIN_MAX": "1000"}
    yield from _started(sqlite_data, tmp_path, 3600, more)


def _started(
    data: InstanceData, folder: Path, seconds: float, more: dict[str, str]
) -> Iterator[int]:
    port = free_port()
    environment = data.environment(HOST="127.0.0.1", PORT=str(port), **more)
    code = WAITING.format(seconds=seconds)
    node = QuickServer(code, folder / "node.log", environment, warmed)
    node.wait_until(lambda: is_live(port))
    yield port
    node.stop()


def _ask_all(connect: Connect, times: int = 4) -> list[int]:
    """The statuses of requests to BESIDES."""
    statuses = []
    for path in BESIDES * times:
        connection = http.client.HTTPConnection(SITE)
        connection.sock = connect()
        connection.request("GET", path, headers={"X-Forwarded-Proto": "https"})
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
        connection.close()
    return statuses


@pytest.mark.parametrize("drips", [False, True], ids=["silent", "dripping"])
@pytest.mark.parametrize("count", [8, 64, 1000])
def test_slow_clients_take_no_thread(patient: int, count: int, drips: bool) -> None:
    """All slow requests stay open while the server responds to others, in Django too."""
    slow = SlowClients(count, direct(patient), drips=drips, beginnings=[BODY, CHUNK])
    try:
        statuses = _ask_all(direct(patient))
        answered = slow.answered()
    finally:
        slow.stop()

    assert statuses == ANSWERS * 4
    assert answered == 0


def test_slow_heads_take_no_thread(patient: int) -> None:
    """The server library drops an incomplete head after half a minute."""
    slow = SlowClients(200, direct(patient), drips=True, beginnings=[HEAD])
    try:
        statuses = _ask_all(direct(patient), 1)
    finally:
        slow.stop()

    assert statuses == ANSWERS


def test_slow_readers_block_no_client(patient: int) -> None:
    """They send many requests, and read no response."""
    request = f"GET /sign-in HTTP/1.1\r\nHost: {SITE}\r\nX-Forwarded-Proto: https\r\n\r\n"
    readers = [direct(patient)() for _one in range(64)]
    try:
        for reader in readers:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.sendall(request.encode() * 40)
        statuses = _ask_all(direct(patient), 1)
    finally:
        for reader in readers:
            reader.close()

    assert statuses == ANSWERS


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("count", [8, 64, 1000])
def test_slow_clients_behind_a_proxy_take_no_thread(
    patient: int, tmp_path: Path, count: int, front: str
) -> None:
    folder = tmp_path / front
    folder.mkdir()
    proxy = FRONTS[front](patient, folder)
    connect = by_tls(proxy)
    # Proxies close silent connections after a while.
    slow = SlowClients(count, connect, drips=count > 8)
    try:
        statuses = _ask_all(connect, 1)
        answered = slow.answered()
    finally:
        slow.stop()
        proxy.process.stop()

    assert statuses == ANSWERS
    assert answered == 0


@pytest.fixture
def impatient(sqlite_data: InstanceData, tmp_path: Path) -> Iterator[int]:
    """The port of a server that waits a third of a second for a body."""
    yield from _started(sqlite_data, tmp_path, 0.3, {})


def test_a_missing_body_times_out_and_closes_the_connection(impatient: int) -> None:
    with socket.create_connection(("127.0.0.1", impatient), 10) as slow:
        slow.sendall(BODY.format(path="/api/v1/auth/token", host="localhost").encode())
        answer = read_to_the_end(slow)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code": "too_slow"' in answer


def test_a_body_that_is_too_long_is_not_read(server: Gatehouse) -> None:
    head = f"POST /sign-in HTTP/1.1\r\nHost: {SITE}\r\nContent-Length: 1048577\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.ports[0]), 10) as long:
        long.sendall(head.encode())

        assert read_to_the_end(long).startswith(b"HTTP/1.1 413 ")


def test_a_body_without_a_length_is_counted(server: Gatehouse) -> None:
    head = f"POST /sign-in HTTP/1.1\r\nHost: {SITE}\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.ports[0]), 10) as long:
        long.sendall(head.encode() + chunk * 16 + b"1\r\nx\r\n")

        assert read_to_the_end(long).startswith(b"HTTP/1.1 413 ")


TOKEN = (
    f"POST /api/v1/auth/token HTTP/1.1\r\nHost: {SITE}\r\nContent-Type: application/json\r\n"
    "X-Forwarded-Proto: https\r\n"
)
WRONG = b'{"email": "nobody@example.com", "password": "no such word"}'


def test_an_endless_chunked_body_is_aborted(impatient: int) -> None:
    head = "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", impatient), 10) as endless:
        endless.sendall(head.encode() + b"1\r\nx\r\n" * 100)

        assert read_to_the_end(endless).startswith(b"HTTP/1.1 408 ")


def test_a_body_in_chunks_of_one_byte_is_read_whole(server: Gatehouse) -> None:
    body = WRONG + b" " * 20_000
    head = TOKEN + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.ports[0]), 10) as tiny:
        tiny.sendall(
            head.encode() + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        )
        answer = read_to_the_end(tiny)

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b'"bad_credentials"' in answer


def test_data_beyond_the_content_length_is_a_new_request(
    server: Gatehouse,
) -> None:
    """A second, invalid response has no effect on the first one."""
    head = TOKEN + f"Content-Length: {len(WRONG)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.ports[0]), 10) as liar:
        liar.sendall(head.encode() + WRONG + b'{"role": "owner"}\r\n\r\n')
        answers = read_to_the_end(liar)

    assert answers.startswith(b"HTTP/1.1 401 ")
    assert answers.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 400 " in answers


def test_a_truncated_body_is_not_handled(server: Gatehouse) -> None:
    """An incomplete body is refused, even if it parses."""
    head = TOKEN + f"Content-Length: {len(WRONG) + 1}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.ports[0]), 10) as liar:
        liar.sendall(head.encode() + WRONG)
        liar.shutdown(socket.SHUT_WR)

        assert b" 401 " not in read_to_the_end(liar)
    assert server.data.shell(NOTED) == 0


def test_a_form_in_chunks_is_read(server: Gatehouse) -> None:
    head = (
        f"POST /api/v1/auth/token HTTP/1.1\r\nHost: {SITE}\r\nContent-Type: application/json\r\n"
        "X-Forwarded-Proto: https\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    body = b'{"email": "nobody@example.com", "password": "no such word"}'
    with socket.create_connection(("127.0.0.1", server.ports[0]), 10) as whole:
        whole.sendall(head.encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        answer = read_to_the_end(whole)

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b'"bad_credentials"' in answer


BROKEN = [
    b"zz\r\n", b"-1\r\nabcde\r\n0\r\n\r\n", b"+5\r\nabcde\r\n0\r\n\r\n",
    b"0x5\r\nabcde\r\n0\r\n\r\n",
    b"ffffffffffffffff5\r\nabcde\r\n0\r\n\r\n", b"5\r\nabcdeXX0\r\n\r\n", b"5\nabcde\n0\n\n",
    b"5;x=\n\r\nabcde\r\n0\r\n\r\n", b"5;" + b"x" * 100_000 + b"\r\nabcde\r\n0\r\n\r\n",
    b"2\r\n{}\r\n0\r\n" + b"X-More: of them\r\n" * 2000 + b"\r\n",
]  # fmt: skip


def test_invalid_chunks_are_rejected_and_close_the_connection(
    server: Gatehouse,
) -> None:
    """They cause no server error, and nothing after them is read as a request."""
    for path in ("/api/v1/auth/token", "/sign-in", "/auth/check", "/no/such/path"):
        for body in BROKEN:
            head = f"POST {path} HTTP/1.1\r\nHost: {SITE}\r\nTransfer-Encoding: chunked\r\n\r\n"
            with socket.create_connection(("127.0.0.1", server.ports[0]), 10) as connection:
                connection.sendall(head.encode() + body + b"GET /health/live HTTP/1.1\r\n\r\n")
                answer = b""
                while part := connection.recv(65536):
                    answer += part

            assert answer.startswith(b"HTTP/1.1 400 "), (path, body[:40], answer)
            assert answer.count(b"HTTP/1.1 ") == 1
            assert b'"malformed"' in answer

    assert "protocol failure" not in server.output()


def test_an_aborted_request_leaves_nothing_behind(server: Gatehouse) -> None:
    for _one in range(20):
        with socket.create_connection(("127.0.0.1", server.ports[0]), 10) as gone:
            gone.sendall(BODY.format(path="/sign-in", host=SITE).encode())

    assert server.client().get("/sign-in").status == 200
    assert "Traceback" not in server.output()
    assert "protocol failure" not in server.output()


def test_many_large_bodies_at_once_are_limited(server: Gatehouse) -> None:
    """The memory for bodies is bounded; requests beyond the bound get an error."""
    head = f"POST /sign-in HTTP/1.1\r\nHost: {SITE}\r\nContent-Length: 1000000\r\n\r\n".encode()
    crowd = [socket.create_connection(("127.0.0.1", server.ports[0]), 10) for _one in range(80)]
    try:
        for each in crowd:
            each.sendall(head + os.urandom(999_999))
        assert wait_for(lambda: len(select.select(crowd, [], [], 0)[0]) > 10)
        answered = select.select(crowd, [], [], 0)[0]
        starts = {each.recv(13) for each in answered}
    finally:
        for each in crowd:
            each.close()

    assert starts == {b"HTTP/1.1 503 "}
    assert len(answered) < 20
    assert server.client().get("/sign-in").status == 200


def read_to_the_end(connection: socket.socket) -> bytes:
    found = b""
    while part := connection.recv(4096):
        found += part
    return found
