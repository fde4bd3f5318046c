"""Sends audit events to a syslog receiver: RFC 5424 messages over TLS, TCP or UDP.

With TLS (RFC 5425) and TCP (RFC 6587) messages are framed by octet counting. Syslog confirms
nothing. So each batch has its own connection, which is closed for writing after it; that the
receiver then closes it too, instead of resetting it, says that it has read everything.
"""

import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC
from urllib.parse import urlsplit

from django.conf import settings

from audit.audit_log import event_content
from audit.exporting import as_line, line_of
from audit.models import USUAL, AuditEvent
from core.http import tls_context

# Facility 13 (log audit), severity 5 (notice) or 4 (warning); RFC 5424, section 6.2.1.
NOTICE, WARNING = 13 * 8 + 5, 13 * 8 + 4
APP_NAME, MESSAGE_ID = "gatehouse", "audit"
# For each step of a connection, and for the wait until the receiver closes it.
SECONDS = 10.0
# Larger datagrams are fragmented or refused; the details of a larger event are left out.
MAX_DATAGRAM = 8192


def send(events: Sequence[AuditEvent], target: str) -> None:
    """Send the events, oldest first. target: scheme://host:port. Raises OSError, UnicodeError."""
    parts = urlsplit(target)
    host, port = parts.hostname or "", parts.port or 0
    if parts.scheme == "udp":
        _send_datagrams([message(event, MAX_DATAGRAM) for event in events], host, port)
        return
    with socket.create_connection((host, port), timeout=SECONDS) as raw:
        frames = b"".join(map(frame, map(message, events)))
        if parts.scheme == "tls":
            _send_encrypted(frames, raw, host)
        else:
            raw.sendall(frames)
            raw.shutdown(socket.SHUT_WR)
            _wait_for_close(raw)


def message(event: AuditEvent, max_bytes: int | None = None) -> bytes:
    """The event as a message of RFC 5424; its text is the line of `exportaudit`.

    max_bytes: leave out the details of an event that is larger.
    """
    priority = NOTICE if event.result == USUAL["result"] else WARNING
    at = event.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    host = urlsplit(settings.PUBLIC_URL).hostname or "-"
    header = f"<{priority}>1 {at} {host} {APP_NAME} - {MESSAGE_ID} - "
    text = as_line(event)
    if max_bytes is not None and len(header) + len(text) > max_bytes:
        content = event_content(event) | {"hash": event.hash, "omitted": "detail"}
        del content["detail"]
        text = line_of(content)
    return f"{header}{text}".encode("ascii")


def frame(content: bytes) -> bytes:
    """Octet counting: the length, a space, the message (RFC 6587, section 3.4.1)."""
    return b"%d %b" % (len(content), content)


def _send_datagrams(messages: Sequence[bytes], host: str, port: int) -> None:
    family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[
        0
    ]
    with socket.socket(family, kind, protocol) as datagrams:
        datagrams.settimeout(SECONDS)
        datagrams.connect(address)
        for each in messages:
            datagrams.send(each)


def _send_encrypted(frames: bytes, raw: socket.socket, host: str) -> None:
    with tls_context(settings.PROVIDER_CA_FILE).wrap_socket(raw, server_hostname=host) as secured:
        secured.sendall(frames)
        # Sends close_notify and waits for that of the receiver (RFC 5425, section 4.4). One that
        # closes the connection without it has read everything as well.
        with suppress(ssl.SSLEOFError):
            secured.unwrap().close()


def _wait_for_close(raw: socket.socket) -> None:
    """Raises OSError if the receiver resets the connection, or does not close it in time."""
    end = time.monotonic() + SECONDS
    while raw.recv(4096):
        if time.monotonic() > end:
            raise TimeoutError("the receiver does not close the connection")
