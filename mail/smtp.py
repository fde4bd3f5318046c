"""One SMTP conversation: connect, encrypt, sign in, send a mail.

Every step has a timeout. The dialogue is kept for administrators, without passwords. Based on
smtplib, with UTF-8 for user name and password (RFC 4616).
"""

import base64
import hashlib
import hmac
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from typing import Any

from mail.conf import MailSettings

# For a single wait, and for a whole conversation; the lease of a mail is longer.
TIMEOUT_SECONDS = 5.0
DEADLINE_SECONDS = 30.0
# Replies of mail servers are a few lines.
MAX_REPLY_BYTES = 64 * 1024
MAX_LINES, MAX_LINE_LENGTH = 100, 500
HIDDEN = "•••"
# Control characters, direction overrides, and surrogates.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
OVER_TLS, IN_CLEAR = ("PLAIN", "LOGIN", "CRAM-MD5"), ("CRAM-MD5", "PLAIN", "LOGIN")


class Stage(StrEnum):
    """The stages of a conversation."""

    CONNECT = "connect"
    HELLO = "hello"
    ENCRYPT = "encrypt"
    SIGN_IN = "sign in"
    SENDER = "sender"
    RECIPIENT = "recipient"
    CONTENT = "content"


class Refusal(Exception):
    """The server refused. text: its reply, possibly of several lines."""

    def __init__(self, stage: Stage, code: int, text: str) -> None:
        self.stage, self.code, self.text = stage, code, text
        super().__init__(f"{code} {text}")


class Unusable(Exception):
    """The server does not support what the settings require; `lack` names it."""

    class Lack(StrEnum):
        STARTTLS = "starttls"
        PASSWORD_IN_CLEAR = "password in clear"  # noqa: S105 - a state
        SIGN_IN = "sign in"
        MECHANISM = "mechanism"

    def __init__(self, lack: Lack, offered: str = "") -> None:
        self.lack, self.offered = lack, offered
        super().__init__(lack.value)


class Dialogue:
    """The dialogue of both sides, with secrets hidden, and the current stage."""

    def __init__(self, mail: MailSettings) -> None:
        self.stage = Stage.CONNECT
        self._lines: list[str] = []
        self._secrets = sorted(_forms(mail), key=len, reverse=True)

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines in order, at most MAX_LINES."""
        return tuple(self._lines)

    def note(self, sign: str, text: str) -> None:
        """Add lines. sign: > for Gatehouse, < for the server, * for an event."""
        for line in text.splitlines() or [""]:
            if len(self._lines) < MAX_LINES:
                self._lines.append(f"{sign} {self.hide(line)[:MAX_LINE_LENGTH]}")

    def hide(self, text: str) -> str:
        """`text` without any form of the password, and without control characters."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _forms(mail: MailSettings) -> Iterator[str]:
    """The password in each form in which it is sent or may be repeated by a server."""
    if not mail.password:
        return
    yield mail.password
    for raw in (_bytes(mail.password), _plain(mail)):
        encoded = base64.b64encode(raw).decode()
        yield encoded
        yield encoded.rstrip("=")


def _bytes(text: str) -> bytes:
    """UTF-8; lone surrogates from the environment become their original bytes."""
    return text.encode("utf-8", "surrogateescape")


def _plain(mail: MailSettings) -> bytes:
    return b"\0" + _bytes(mail.username) + b"\0" + _bytes(mail.password)


class _Reader:
    """Reads lines from a socket for smtplib, until the end of the conversation at most."""

    def __init__(self, sock: socket.socket, end: float) -> None:
        self._sock, self._end = sock, end
        self._buffer, self._left = b"", MAX_REPLY_BYTES

    def readline(self, limit: int) -> bytes:
        while b"\n" not in self._buffer and len(self._buffer) < limit:
            self._sock.settimeout(_time_left(self._end))
            data = self._sock.recv(4096)
            if not data:
                break
            self._left -= len(data)
            if self._left < 0:
                raise OSError("the replies are too long")
            self._buffer += data
        line, found, rest = self._buffer.partition(b"\n")
        if not found or len(line) >= limit:
            line, found, rest = self._buffer[:limit], b"", self._buffer[limit:]
        self._buffer = rest
        return line + found

    def close(self) -> None:
        """The socket is closed by its owner."""


def _time_left(end: float) -> float:
    """Seconds for the next wait. Raises TimeoutError."""
    left = min(TIMEOUT_SECONDS, end - time.monotonic())
    if left <= 0:
        raise TimeoutError("timed out")
    return left


class _Client(smtplib.SMTP):
    """smtplib's client, with a recorded dialogue and a deadline."""

    def __init__(self, mail: MailSettings, dialogue: Dialogue, context: ssl.SSLContext) -> None:
        self._dialogue, self._context = dialogue, context
        self._from_the_start = mail.encryption == "tls"
        self._end = time.monotonic() + DEADLINE_SECONDS
        self.is_encrypted = False
        super().__init__(
            mail.host, mail.port, local_hostname=mail.ehlo_name, timeout=TIMEOUT_SECONDS
        )

    def connect(
        self, host: str = "localhost", port: int = 0, source_address: Any = None
    ) -> tuple[int, bytes]:
        self._dialogue.note("*", f"connecting to {host}, port {port}")
        return super().connect(host, port, source_address)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((host, port), _time_left(self._end))
        if not self._from_the_start:
            return plain
        self._dialogue.stage = Stage.ENCRYPT
        return self._encrypt(plain, host)

    def _encrypt(self, plain: socket.socket, host: str) -> socket.socket:
        plain.settimeout(_time_left(self._end))
        try:
            wrapped = self._context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
        self.is_encrypted = True
        self._dialogue.note("*", f"encrypted with {wrapped.version()}")
        return wrapped

    def upgrade(self, host: str) -> None:
        """STARTTLS. Discards everything received before it, even unread (CVE-2021-38371)."""
        code, text = self.docmd("STARTTLS")
        if code != 220 or self.sock is None:
            raise Refusal(Stage.ENCRYPT, code, self.readable(text))
        self.file = None
        self.sock = self._encrypt(self.sock, host)
        self.ehlo_resp = self.helo_resp = None
        self.esmtp_features = {}
        self.does_esmtp = False

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Reader(self.sock, self._end)
        code, text = super().getreply()
        for line in self.readable(text).splitlines() or [""]:
            self._dialogue.note("<", f"{code} {line}")
        return code, text

    def putcmd(self, cmd: str, args: str = "") -> None:
        shown = cmd.upper() if cmd != "AUTH" else f"AUTH {args.partition(' ')[0]}"
        more = args if cmd != "AUTH" else HIDDEN * (" " in args)
        self._dialogue.note(">", f"{shown} {more}".strip())
        self._put(cmd, args)

    def answer(self, secret: bytes) -> tuple[int, bytes]:
        """Send a line of the authentication in base64; the dialogue hides it."""
        self._dialogue.note(">", HIDDEN)
        self._put(base64.b64encode(secret).decode())
        return self.getreply()

    def _put(self, cmd: str, args: str = "") -> None:
        if self.sock is not None:
            self.sock.settimeout(_time_left(self._end))
        super().putcmd(cmd, args)

    def readable(self, text: bytes) -> str:
        """A reply as safe text."""
        return self._dialogue.hide(text.decode("utf-8", "replace"))


class Conversation:
    """A conversation with the configured server.

    Raises Refusal, Unusable, OSError, SMTPException, UnicodeError.
    """

    def __init__(self, mail: MailSettings) -> None:
        self._mail = mail
        self.dialogue = Dialogue(mail)

    @contextmanager
    def open(self) -> Iterator["_Client"]:
        """Connect, encrypt and sign in, as the settings require."""
        client = self._connect()
        try:
            self._hello(client)
            self._encrypt(client)
            self._sign_in(client)
            yield client
        finally:
            self._leave(client)

    def send(self, client: "_Client", sender: str, recipient: str, content: bytes) -> None:
        """Send one mail. Line ends become CRLF and leading dots are doubled (RFC 5321)."""
        content = re.sub(rb"\r\n|\r|\n", b"\r\n", content)
        options = [f"size={len(content)}"] if client.has_extn("size") else []
        options += ["BODY=8BITMIME"] if client.has_extn("8bitmime") else []
        self._expect(Stage.SENDER, client.mail(sender, options))
        self._expect(Stage.RECIPIENT, client.rcpt(recipient), 250, 251)
        self.dialogue.stage = Stage.CONTENT
        self._expect(Stage.CONTENT, client.docmd("DATA"), 354)
        self.dialogue.note(">", f"(the mail, {len(content)} bytes)")
        quoted = re.sub(rb"(?m)^\.", b"..", content)
        client.send(quoted + (b"" if quoted.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        self._expect(Stage.CONTENT, client.getreply())

    def _connect(self) -> "_Client":
        try:
            return _Client(self._mail, self.dialogue, tls_context(self._mail))
        except smtplib.SMTPConnectError as error:
            raise self._refusal(Stage.CONNECT, error.smtp_code, error.smtp_error) from None

    def _hello(self, client: "_Client") -> None:
        self.dialogue.stage = Stage.HELLO
        code, text = client.ehlo()
        if code in (500, 502):  # an old server without EHLO
            code, text = client.helo()
        if code != 250:
            raise self._refusal(Stage.HELLO, code, text)

    def _encrypt(self, client: "_Client") -> None:
        if client.is_encrypted or self._mail.encryption == "none":
            return
        if not client.has_extn("starttls"):
            if self._mail.encryption == "starttls":
                raise Unusable(Unusable.Lack.STARTTLS)
            return
        self.dialogue.stage = Stage.ENCRYPT
        client.upgrade(self._mail.host)
        self._hello(client)

    def _sign_in(self, client: "_Client") -> None:
        if not self._mail.username:
            return
        self.dialogue.stage = Stage.SIGN_IN
        if not client.is_encrypted and self._mail.encryption != "none":
            raise Unusable(Unusable.Lack.PASSWORD_IN_CLEAR)
        if not client.has_extn("auth"):
            raise Unusable(Unusable.Lack.SIGN_IN)
        offered = client.esmtp_features["auth"].upper().split()
        order = OVER_TLS if client.is_encrypted else IN_CLEAR
        mechanisms = [name for name in order if name in offered]
        if not mechanisms:
            raise Unusable(Unusable.Lack.MECHANISM, " ".join(offered))
        for mechanism in mechanisms:
            code, text = self._authenticate(client, mechanism)
            if code == 235:
                return
            if code // 100 == 4:
                break  # a temporary failure; another mechanism would not help
        raise self._refusal(Stage.SIGN_IN, code, text)

    def _authenticate(self, client: "_Client", mechanism: str) -> tuple[int, bytes]:
        """One attempt to sign in; returns the server's reply."""
        if mechanism == "PLAIN":
            secret = base64.b64encode(_plain(self._mail)).decode()
            return client.docmd("AUTH", f"PLAIN {secret}")
        code, text = client.docmd("AUTH", mechanism)
        if code != 334:
            return code, text
        if mechanism == "CRAM-MD5":
            return client.answer(self._signed(text))
        code, text = client.answer(_bytes(self._mail.username))
        return client.answer(_bytes(self._mail.password)) if code == 334 else (code, text)

    def _signed(self, challenge: bytes) -> bytes:
        """RFC 2195. Raises ValueError for a challenge that is not base64."""
        key = _bytes(self._mail.password)
        proof = hmac.new(key, base64.b64decode(challenge), hashlib.md5).hexdigest()
        return _bytes(self._mail.username) + b" " + proof.encode()

    def _expect(self, stage: Stage, reply: tuple[int, bytes], *codes: int) -> None:
        self.dialogue.stage = stage
        if reply[0] not in (codes or (250,)):
            raise self._refusal(stage, *reply)

    def _refusal(self, stage: Stage, code: int, text: bytes | str) -> Refusal:
        shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        return Refusal(stage, code, self.dialogue.hide(shown))

    def _leave(self, client: "_Client") -> None:
        """Send QUIT and ignore errors, because the outcome of the mail is known."""
        if client.sock is None:
            return
        with suppress(OSError, smtplib.SMTPException):
            client.docmd("QUIT")
        client.close()


def tls_context(mail: MailSettings) -> ssl.SSLContext:
    """A context that verifies certificate and name, unless EMAIL_ALLOW_SELFSIGNED is set."""
    context = ssl.create_default_context()
    if mail.allow_selfsigned:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
