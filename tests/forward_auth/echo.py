"""A small app that echoes requests, accepts uploads, and echoes on a websocket."""

import base64
import hashlib
import json
import ssl
import threading
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class EchoApp:
    """Runs in this process on `port` until stop(); `seen` counts the requests that arrived.

    certificate: speak TLS, with this certificate and the key beside it.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.seen = 0
        app = self

        class Handler(_Echo):
            def count(self) -> None:
                app.seen += 1

            def switches(self) -> bool:
                return app.look(self.headers)

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, certificate.with_name("key.pem"))
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def look(self, headers: HTTPMessage) -> bool:
        """Does it take over the connection of a request with these headers? It echoes then."""
        return bool(headers.get("Upgrade", "").lower() == "websocket")

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_of_request: object) -> None:
        """A proxy that hangs up is nothing to tell."""


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def count(self) -> None:
        """One more request."""

    def switches(self) -> bool:
        """Is this connection to be taken over?"""
        return False

    def do_GET(self) -> None:
        self.count()
        if self.switches():
            self._speak_back()
            return
        self.behind: list[str] = []
        length = self._read_body()
        pairs = [[name.lower(), value] for name, value in self.headers.items()]
        said = {"method": self.command, "path": self.path, "headers": pairs, "length": length,
                "behind": self.behind}  # fmt: skip
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def _read_body(self) -> int:
        """The length of the body, which may come in chunks, with lines `behind` them."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            left = length = int(self.headers.get("Content-Length", "0"))
            while left:
                left -= len(self.rfile.read(min(left, 65536)))
            return length
        length = 0
        while size := int(self.rfile.readline(), 16):
            length += len(self.rfile.read(size))
            self.rfile.readline()
        while line := self.rfile.readline().strip():
            self.behind.append(line.decode("latin-1"))
        return length

    def _speak_back(self) -> None:
        """Take the connection over, and send every byte back."""
        key = self.headers["Sec-WebSocket-Key"] + GUID
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", self.headers["Upgrade"])
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.send_header("X-Seen-User", self.headers.get("Remote-User", ""))
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        while data := self.connection.recv(4096):
            self.connection.sendall(data)

    def log_message(self, *_line: object) -> None:
        """Nothing."""
