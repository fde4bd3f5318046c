"""Clients that begin a request and never finish it, silent or with a byte each second."""

import select
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from devtools.servers.fronts import CLIENT, PROXY, SITE, Proxy

# As many clients as Django has threads, which block them all if they block any.
THREADS = 8
# A path of each kind that reads a body: the API, forms, and a path that does not exist.
PATHS = ["/api/v1/auth/token", "/sign-in", "/magic-link", "/admin/login/", "/no/such/path"]
BODY = (
    "POST {path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Proto: https\r\n"
    "Content-Type: application/json\r\n"
    "Content-Length: 90000\r\n\r\n{{"
)
CHUNK = (
    "POST {path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Proto: https\r\n"
    "Content-Type: application/json\r\n"
    "Transfer-Encoding: chunked\r\n\r\n15f90\r\n{{"
)
HEAD = "POST {path} HTTP/1.1\r\nHost: {host}\r\nX-Long: a"
Connect = Callable[[], socket.socket]


class SlowClients:
    """Connections that have sent a part of a request. drips: each sends one byte a second."""

    def __init__(
        self,
        count: int,
        connect: Connect,
        *,
        host: str = SITE,
        drips: bool = False,
        beginnings: Sequence[str] = (BODY,),
    ) -> None:
        self.connections: list[socket.socket] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._drip, daemon=True)
        if drips:
            self._thread.start()
        for number in range(count):
            connection = connect()
            kind = 0 if number < THREADS else number
            text, path = beginnings[kind % len(beginnings)], PATHS[kind % len(PATHS)]
            connection.sendall(text.format(path=path, host=host).encode())
            self.connections.append(connection)

    def _drip(self) -> None:
        while not self._over.wait(1):
            for connection in list(self.connections):
                # The server has closed this connection.
                with suppress(OSError):
                    connection.sendall(b"a")

    def answered(self) -> int:
        """The number of connections with a response, or closed by the server."""
        watched = select.poll()
        for connection in self.connections:
            watched.register(connection, select.POLLIN)
        return len(watched.poll(0))

    def stop(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        for connection in self.connections:
            connection.close()


def direct(port: int) -> Connect:
    """A function that connects to the server."""
    return lambda: socket.create_connection((PROXY, port), 30)


def by_tls(proxy: Proxy) -> Connect:
    """A function that connects to a proxy; connections share a TLS session, as in browsers."""
    context = ssl.create_default_context(cafile=str(proxy.authority))
    # TLS 1.3 sends tickets, which would look like responses.
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def connect() -> socket.socket:
        plain = socket.create_connection((PROXY, proxy.port), 30, (CLIENT, 0))
        return context.wrap_socket(plain, server_hostname=SITE)

    return connect
