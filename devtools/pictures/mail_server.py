"""A mail server on this machine that takes every mail and keeps none, so that nothing is sent."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Session(socketserver.StreamRequestHandler):
    """One connection. Every command is accepted."""

    def handle(self) -> None:
        self.wfile.write(b"220 localhost\r\n")
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
            self.wfile.write(b"250 localhost\r\n")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@contextmanager
def mail_server() -> Iterator[dict[str, str]]:
    """A mail server on a free port of 127.0.0.1 inside of the block; the settings for it."""
    with _Server(("127.0.0.1", 0), _Session) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield {
                "EMAIL_HOST": "127.0.0.1",
                "EMAIL_PORT": str(server.server_address[1]),
                "EMAIL_FROM": "Gatehouse <gate@northwind.example>",
            }
        finally:
            server.shutdown()
