"""A receiver of webhooks for tests, as hostile as it is told."""

import json
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Writes whatever it likes on the connection.
Reply = Callable[["Connection"], None]


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it arrived. headers: names in lower case."""

    line: str
    headers: dict[str, str]
    body: str

    @property
    def event(self) -> Any:
        return json.loads(self.body)


class Connection(socketserver.StreamRequestHandler):
    """One connection, which carries one request."""

    server: "Receiver"
    timeout = 30

    def handle(self) -> None:
        line = self.rfile.readline().decode().strip()
        headers = {}
        while field := self.rfile.readline().decode().strip():
            name, _colon, value = field.partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", "0"))).decode()
        self.server.requests.append(Received(line, headers, body))
        try:
            self.server.next_reply()(self)
        except OSError:
            return  # the sender has gone

    def send(self, text: str | bytes) -> None:
        self.wfile.write(text.encode() if isinstance(text, str) else text)


class Receiver(socketserver.ThreadingTCPServer):
    """http://127.0.0.1:{port}/; answers 200 until it is told otherwise."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.port = int(self.server_address[1])
        self.requests: list[Received] = []
        self.replies: list[Reply] = []
        self.default: Reply = answer(200, "thanks")
        # Set at the end of the test: replies that hang wait for it.
        self.released = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, *_of_request: object) -> None:
        """A sender that goes away early is no error here."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=in-the-path"

    def next_reply(self) -> Reply:
        return self.replies.pop(0) if self.replies else self.default

    def stop(self) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()


def answer(status: int, body: str = "", **headers: str) -> Reply:
    """A well-formed answer; `_` in names of headers stands for `-`."""

    def reply(connection: Connection) -> None:
        fields = {"content_length": str(len(body.encode())), **headers}
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        connection.send("\r\n".join([f"HTTP/1.1 {status} Text", *lines, "", body]))

    return reply


def hang(connection: Connection) -> None:
    """No answer at all."""
    connection.server.released.wait(30)


def drip(connection: Connection) -> None:
    """A status line that never ends, a byte at a time."""
    connection.send("HTTP/1.1 200 ")
    while not connection.server.released.wait(0.05):
        connection.send("x")


def drip_body(connection: Connection) -> None:
    """A success, and then a body that never ends, a byte at a time."""
    connection.send("HTTP/1.1 200 OK\r\n\r\n")
    while not connection.server.released.wait(0.05):
        connection.send("x")


def flood(connection: Connection) -> None:
    """A success with a body without end."""
    connection.send("HTTP/1.1 200 OK\r\n\r\n")
    while not connection.server.released.is_set():
        connection.send(b"A" * 65536)


def hang_up(connection: Connection) -> None:
    """Close the connection without an answer."""
