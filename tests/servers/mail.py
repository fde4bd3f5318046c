"""Two test doubles: an SMTP server, and Resend's HTTP API.

The SMTP server is as hostile as it is told: it refuses any command in any words, repeats secrets,
answers without end or never, and slips answers in before TLS.
"""

import base64
import hashlib
import hmac
import json
import socketserver
import ssl
import threading
from collections import deque
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from devtools.servers.certificates import write_certificate

HANG_UP = 0
RESEND_NAMES = {422: "validation_error", 429: "rate_limit_exceeded"}


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A mail as the server received it."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage


@dataclass
class Conduct:
    """How the SMTP server behaves. replies: replies by verb that replace the usual ones.

    HELLO is the greeting, CONTENT the reply to a complete mail; None closes the connection.
    """

    replies: dict[str, str | None] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    from_the_start: bool = False
    mechanisms: str = "PLAIN"
    users: dict[str, str] = field(default_factory=dict)
    slips_in: str = ""
    endless: str = ""


class _SMTPHandler(socketserver.BaseRequestHandler):
    server: "SMTPServer"

    def handle(self) -> None:
        self.conduct = self.server.conduct
        self.sender, self.recipients, self.encrypted = "", list[str](), False
        try:
            if self.conduct.from_the_start:
                self.encrypt()
            self.file = self.request.makefile("rb")
            self.talk()
        except OSError:
            return  # the client has gone, or does not trust us

    def talk(self) -> None:
        if not self.fails("HELLO") and not self.reply("220 sink ESMTP"):
            return
        for line in iter(self.file_line, b""):
            verb, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            self.server.commands.append((verb.upper(), rest))
            if self.conduct.endless == verb.upper():
                while True:
                    self.request.sendall(b"250-and on\r\n" * 1000)
            if not (self.fails(verb.upper()) or self.answer(verb.upper(), rest)):
                return

    def file_line(self) -> bytes:
        return bytes(self.file.readline())

    def fails(self, verb: str) -> bool:
        """Send the reply that the test has set, if any; returns whether it did."""
        if verb not in self.conduct.replies:
            return False
        text = self.conduct.replies[verb]
        if text is None:
            raise OSError("hangs up")
        return self.reply(text)

    def reply(self, text: str) -> bool:
        self.request.sendall(f"{text}\r\n".encode())
        return True

    def encrypt(self) -> None:
        assert self.conduct.tls is not None
        self.request = self.conduct.tls.wrap_socket(self.request, server_side=True)
        self.encrypted = True

    def answer(self, verb: str, rest: str) -> bool:
        """Handle one command; False closes the connection."""
        match verb:
            case "EHLO":
                self.server.names.append(rest)
                lines = ["sink", "8BITMIME", "SMTPUTF8"]
                lines += ["STARTTLS"] * (self.conduct.tls is not None and not self.encrypted)
                lines += [f"AUTH {self.conduct.mechanisms}"] * bool(self.conduct.mechanisms)
                return self.reply(
                    "\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"])
                )
            case "STARTTLS":
                self.reply(f"220 go on{self.conduct.slips_in}")
                self.encrypt()
                self.file = self.request.makefile("rb")
                return True
            case "AUTH":
                return self.sign_in(rest)
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

    def sign_in(self, rest: str) -> bool:
        """Check user name and password, if the test has set them."""
        mechanism, _, initial = rest.partition(" ")
        self.server.credentials.append(initial)
        self.server.encrypted.append(self.encrypted)
        match mechanism:
            case "PLAIN":
                _no_one, user, password = base64.b64decode(initial).decode().split("\0")
            case "LOGIN":
                user, password = self.ask(b"Username:").decode(), self.ask(b"Password:").decode()
            case _:
                user, _, proof = self.ask(b"<1@sink>").decode().partition(" ")
                right = self.conduct.users.get(user, "").encode()
                is_right = proof == hmac.new(right, b"<1@sink>", hashlib.md5).hexdigest()
                password = self.conduct.users.get(user, "") if is_right else ""
        self.server.signed_in.append((mechanism, user, password))
        if self.conduct.users and self.conduct.users.get(user) != password:
            return self.reply("535 5.7.8 bad credentials")
        return self.reply("235 welcome")

    def ask(self, question: bytes) -> bytes:
        self.reply(f"334 {base64.b64encode(question).decode()}")
        return base64.b64decode(self.file_line())

    def receive(self) -> bool:
        failure = self.server.next_failure()
        if failure == HANG_UP:
            return False
        if failure is not None:
            return self.reply(f"{failure} refused for the test")
        self.reply("354 go on")
        lines = []
        while (line := self.file_line()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        message = message_from_bytes(b"".join(lines), policy=policy.default)
        if self.fails("CONTENT"):
            return True
        self.server.mails.append(ReceivedMail(self.sender, tuple(self.recipients), message))
        return self.reply("250 queued")


def _address(rest: str) -> str:
    return rest.partition("<")[2].partition(">")[0]


class _Failing:
    """Fails the configured number of times, then works again."""

    def __init__(self) -> None:
        self._failures: deque[int] = deque()

    def fail_with(self, status: int, times: int = 1) -> None:
        """Refuse the next `times` mails with this status; HANG_UP closes the connection instead."""
        self._failures.extend([status] * times)

    def next_failure(self) -> int | None:
        return self._failures.popleft() if self._failures else None

    def clear(self) -> None:
        """Forget received mails and pending failures."""
        self._failures.clear()


class SMTPServer(_Failing, socketserver.ThreadingTCPServer):
    """A mail server that stores what it receives in `mails`, oldest first; see Conduct.

    names: what it was greeted with; commands: everything that was said; credentials and encrypted:
    of each try to sign in, as sent and whether by TLS; signed_in: the same as it was understood.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        _Failing.__init__(self)
        socketserver.ThreadingTCPServer.__init__(self, ("127.0.0.1", 0), _SMTPHandler)
        self.mails: list[ReceivedMail] = []
        self.credentials: list[str] = []
        self.names: list[str] = []
        self.commands: list[tuple[str, str]] = []
        self.encrypted: list[bool] = []
        self.signed_in: list[tuple[str, str, str]] = []
        self.conduct = Conduct()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def clear(self) -> None:
        super().clear()
        self.conduct = Conduct()
        for kept in (self.mails, self.credentials, self.names, self.commands):
            kept.clear()
        self.encrypted.clear()
        self.signed_in.clear()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class MailCertificate:
    """A self-signed certificate for `names`; clients that should trust it load `path`."""

    def __init__(self, folder: Path, *names: str) -> None:
        write_certificate(folder, *names)
        self.path = folder / "certificate.pem"
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.path, folder / "key.pem")


@dataclass(frozen=True, slots=True)
class ResendRequest:
    """One `POST /emails`: lower-case header names, the body as sent."""

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
            name = self.server.error_name or RESEND_NAMES.get(failure, "server_error")
            message = self.server.error_message
            self.reply(failure, {"statusCode": failure, "name": name, "message": message})
        else:
            self.reply(200, {"id": self.server.identity_of(headers.get("idempotency-key"))})

    def do_GET(self) -> None:
        """The list of domains; 401 for a wrong key, and for a key that may only send."""
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if key in self.server.sending_keys:
            self.reply(401, {"statusCode": 401, "name": "restricted_api_key", "message": "no"})
        elif key in self.server.wrong_keys:
            self.reply(401, {"statusCode": 401, "name": "invalid_api_key", "message": key})
        else:
            self.reply(200, {"data": []})

    def reply(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing to the terminal of the tests."""


class ResendServer(_Failing, ThreadingHTTPServer):
    """Resend's `POST /emails`; stores every request in `requests`, refused ones included."""

    daemon_threads = True

    def __init__(self) -> None:
        _Failing.__init__(self)
        ThreadingHTTPServer.__init__(self, ("127.0.0.1", 0), _ResendHandler)
        self.requests: list[ResendRequest] = []
        self._identities: dict[str, str] = {}
        self.error_name, self.error_message = "", "for the test"
        self.sending_keys, self.wrong_keys = set[str](), set[str]()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """The value for RESEND_API_URL."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def delivered(self) -> int:
        """The number of different mails; a repeated idempotency key sends none."""
        return len(self._identities)

    def identity_of(self, key: str | None) -> str:
        """The mail id for a key; the same for the same key, as Resend does for 24 hours."""
        number = len(self._identities) + 1
        return self._identities.setdefault(key or f"no-key-{number}", f"mail-{number}")

    def clear(self) -> None:
        super().clear()
        self.requests.clear()
        self._identities.clear()
        self.error_name, self.error_message = "", "for the test"
        self.sending_keys.clear()
        self.wrong_keys.clear()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
