"""Two small doubles that speak for real: an SMTP server and Resend's HTTP API."""

import json
import socketserver
import threading
from collections import deque
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HANG_UP = 0
RESEND_NAMES = {422: "validation_error", 429: "rate_limit_exceeded"}


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """One mail as it came over the wire."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage


class _SMTPHandler(socketserver.StreamRequestHandler):
    server: "SMTPServer"

    def handle(self) -> None:
        self.sender, self.recipients = "", []
        self.reply("220 sink ESMTP")
        for line in self.rfile:
            verb, _, rest = line.decode("utf-8").strip().partition(" ")
            if not self.answer(verb.upper(), rest):
                return

    def reply(self, text: str) -> bool:
        self.wfile.write(f"{text}\r\n".encode())
        return True

    def answer(self, verb: str, rest: str) -> bool:
        """Answer one command; False ends the connection."""
        match verb:
            case "EHLO":
                return self.reply("250-sink\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN")
            case "AUTH":
                self.server.credentials.append(rest)
                return self.reply("235 welcome")
            case "MAIL":
                self.sender, self.recipients = _address(rest), []
                return self.reply("250 ok")
            case "RCPT":
                self.recipients.append(_address(rest))
                return self.reply("250 ok")
            case "DATA":
                return self.receive()
            case "QUIT":
                self.reply("221 bye")
                return False
        return self.reply("250 ok")

    def receive(self) -> bool:
        failure = self.server.next_failure()
        if failure == HANG_UP:
            return False
        if failure is not None:
            return self.reply(f"{failure} refused for the test")
        self.reply("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        message = message_from_bytes(b"".join(lines), policy=policy.default)
        self.server.mails.append(ReceivedMail(self.sender, tuple(self.recipients), message))
        return self.reply("250 queued")


def _address(rest: str) -> str:
    return rest.partition("<")[2].partition(">")[0]


class _Failing:
    """Answers in turn what it was told to fail with; then works again."""

    def __init__(self) -> None:
        self._failures: deque[int] = deque()

    def fail_with(self, status: int, times: int = 1) -> None:
        """Refuse the next `times` mails with this status; HANG_UP closes the connection instead."""
        self._failures.extend([status] * times)

    def next_failure(self) -> int | None:
        return self._failures.popleft() if self._failures else None

    def clear(self) -> None:
        """Forget what came and what was to fail."""
        self._failures.clear()


class SMTPServer(_Failing, socketserver.ThreadingTCPServer):
    """A mail server that keeps what it gets in `mails`, oldest first."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        _Failing.__init__(self)
        socketserver.ThreadingTCPServer.__init__(self, ("127.0.0.1", 0), _SMTPHandler)
        self.mails: list[ReceivedMail] = []
        self.credentials: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def clear(self) -> None:
        super().clear()
        self.mails.clear()
        self.credentials.clear()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


@dataclass(frozen=True, slots=True)
class ResendRequest:
    """One `POST /emails`: header names in lower case, body as sent."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class _ResendHandler(BaseHTTPRequestHandler):
    server: "ResendServer"
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append(ResendRequest(self.path, headers, body))
        failure = self.server.next_failure()
        if failure == HANG_UP:
            self.close_connection = True
        elif failure is not None:
            name = {422: "validation_error", 429: "rate_limit_exceeded"}.get(
                failure, "server_error"
            )
            self.reply(failure, {"statusCode": failure, "name": name, "message": "for the test"})
        else:
            self.reply(200, {"id": self.server.identity_of(headers.get("idempotency-key"))})

    def reply(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing on the terminal of the tests."""


class ResendServer(_Failing, ThreadingHTTPServer):
    """Resend's `POST /emails`; every request, refused ones too, is kept in `requests`."""

    daemon_threads = True

    def __init__(self) -> None:
        _Failing.__init__(self)
        ThreadingHTTPServer.__init__(self, ("127.0.0.1", 0), _ResendHandler)
        self.requests: list[ResendRequest] = []
        self._identities: dict[str, str] = {}
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """What RESEND_API_URL has to be."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def delivered(self) -> int:
        """How many different mails went out: a repeated idempotency key sends nothing more."""
        return len(self._identities)

    def identity_of(self, key: str | None) -> str:
        """The same key gets the same mail id, as Resend does for 24 hours."""
        number = len(self._identities) + 1
        return self._identities.setdefault(key or f"no-key-{number}", f"mail-{number}")

    def clear(self) -> None:
        super().clear()
        self.requests.clear()
        self._identities.clear()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
