"""Stands between a proxy and Gatehouse, and counts what goes through."""

import socket
import threading
from contextlib import suppress

from devtools.servers.processes import free_port


class Relay:
    """Listens on `port`, hands everything on to `target`; `sent` counts bytes of requests.

    fall_silent(): closes all connections, accepts new ones, and never responds.
    """

    def __init__(self, target: int) -> None:
        self.target, self.port, self.sent = target, free_port(), 0
        self._pairs: list[socket.socket] = []
        self._is_silent = False
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            self._pairs.append(client)
            if self._is_silent:
                continue
            server = socket.create_connection(("127.0.0.1", self.target))
            self._pairs.append(server)
            for pair in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, is_request: bool) -> None:
        try:
            while data := source.recv(65536):
                self.sent += len(data) if is_request else 0
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()
            sink.close()

    def fall_silent(self) -> None:
        self._is_silent = True
        for one in self._pairs:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        self._listener.close()
