"""The connection to the server: a socket, with TLS, and a time limit for every step.

libldap's own TLS waits without limit for a server that accepts a connection and then sends nothing
(seen with libldap 2.5 and GnuTLS), which would block a thread forever. So Python does TLS here, and
libldap uses one end of a socket pair whose other end a thread relays to TLS.
"""

import selectors
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from federation.ldap.conf import LDAPConfig
from federation.ldap.failures import DirectoryError, Failures

CHUNK = 64 * 1024
# Bytes that may be buffered in one direction before the other side must read.
MAX_BUFFERED = 1024 * 1024
# RFC 4511, section 4.14: the whole request, with message id 1.
START_TLS = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
EXTENDED_RESPONSE = 0x78
MAX_RESPONSE_BYTES = 64 * 1024


def connect(config: LDAPConfig) -> socket.socket:
    """A connected socket for plain LDAP; TLS, if configured, is behind it.

    Only the StartTLS request is sent before the certificate is verified. Raises DirectoryError.
    """
    with _translated():
        plain = socket.create_connection(_address(config.url), timeout=config.step_seconds)
    try:
        if not config.uses_tls:
            plain.settimeout(None)
            return plain
        with _translated():
            if config.starts_tls:
                _start_tls(plain)
            secured = _context(config).wrap_socket(plain, server_hostname=_address(config.url)[0])
    except BaseException:
        plain.close()
        raise
    return _start_relay(secured)


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (636 if parts.scheme == "ldaps" else 389)


def _context(config: LDAPConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=config.ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not config.verifies_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _start_tls(plain: socket.socket) -> None:
    """Send StartTLS and read exactly its response: plain text after it could be injected."""
    plain.sendall(START_TLS)
    tag, length = _read_exactly(plain, 2)
    if length & 0x80:
        length = int.from_bytes(_read_exactly(plain, length & 0x7F), "big")
    if tag != 0x30 or length > MAX_RESPONSE_BYTES:
        raise DirectoryError(Failures.NO_STARTTLS, "its response is not LDAP")
    if not _is_success(_read_exactly(plain, length)):
        raise DirectoryError(Failures.NO_STARTTLS)


def _read_exactly(plain: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        more = plain.recv(length - len(received))
        if not more:
            raise DirectoryError(Failures.NO_STARTTLS, "it closed the connection")
        received += more
    return received


def _is_success(message: bytes) -> bool:
    """message: the message id, then the response, which starts with the result code."""
    if message[:3] != b"\x02\x01\x01" or message[3:4] != bytes([EXTENDED_RESPONSE]):
        return False
    size = message[4] if len(message) > 4 else 0
    start = 5 + (size & 0x7F if size & 0x80 else 0)
    return message[start : start + 3] == b"\x0a\x01\x00"


@contextmanager
def _translated() -> Iterator[None]:
    """Raise errors of the network and of TLS as DirectoryError."""
    try:
        yield
    except TimeoutError as error:
        raise DirectoryError(Failures.TOO_SLOW, str(error)) from None
    except ssl.SSLCertVerificationError as error:
        raise DirectoryError(Failures.CERTIFICATE, error.verify_message) from None
    except ssl.SSLError as error:
        raise DirectoryError(Failures.NO_TLS, error.reason or str(error)) from None
    except OSError as error:
        raise DirectoryError(Failures.NO_ANSWER, error.strerror or str(error)) from None


def _start_relay(secured: ssl.SSLSocket) -> socket.socket:
    """One end of a socket pair for libldap; a thread relays the other end to `secured`."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    secured.setblocking(False)
    threading.Thread(target=_relay, args=(ours, secured), name="directory-tls", daemon=True).start()
    return theirs


def _relay(ours: socket.socket, secured: ssl.SSLSocket) -> None:
    """Copy bytes both ways until one side closes; then close both."""
    upward, downward = bytearray(), bytearray()
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(ours, selectors.EVENT_READ)
            selector.register(secured, selectors.EVENT_READ)
            while True:
                _copy(ours, secured, upward)
                _copy(secured, ours, downward)
                selector.modify(ours, _wanted(upward, downward))
                selector.modify(secured, _wanted(downward, upward))
                if not secured.pending() or len(downward) >= MAX_BUFFERED:
                    selector.select()
    except (OSError, EOFError):
        return
    finally:
        for end in (ours, secured):
            with suppress(OSError):
                end.close()


def _wanted(read: bytearray, to_write: bytearray) -> int:
    wanted = selectors.EVENT_WRITE if to_write else 0
    return wanted | selectors.EVENT_READ if len(read) < MAX_BUFFERED or not wanted else wanted


def _copy(source: socket.socket, sink: socket.socket, waiting: bytearray) -> None:
    """Read and write what is possible without blocking; raises EOFError at the end of `source`."""
    is_at_end = False
    with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        while len(waiting) < MAX_BUFFERED and not is_at_end:
            received = source.recv(CHUNK)
            waiting += received
            is_at_end = not received
    with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        while waiting:
            del waiting[: sink.send(waiting)]
    if is_at_end:
        raise EOFError
