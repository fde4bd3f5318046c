"""Malformed requests by HTTP/1.1 and HTTP/2."""

import re
import socket
import ssl
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from devtools.servers.fronts import PROXY
from tests.attacks.site import APP, Reply

Fields = Iterable[tuple[str, str]]
# RFC 7541: a status that stands in the static table, and the digits in Huffman's code.
INDEXED = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}
DIGITS = {"00000": "0", "00001": "1", "00010": "2", "011001": "3", "011010": "4", "011011": "5",
          "011100": "6", "011101": "7", "011110": "8", "011111": "9"}  # fmt: skip
DATA, HEADERS, RESET, SETTINGS, GO_AWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS = 1, 4


def head(
    method: str, target: str, lines: Sequence[str] = (), host: str = APP, body: bytes = b""
) -> bytes:
    """A request of HTTP/1.1, every byte as it stands here."""
    first = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    return "\r\n".join([*first, *lines, "", ""]).encode("latin-1") + body


def exchange(stream: ssl.SSLSocket, request: bytes, *, whole: bool = False) -> bytes:
    """Everything that comes back: up to the end of one answer, or (`whole`) of the connection."""
    with stream:
        stream.settimeout(8)
        stream.sendall(request)
        found = b""
        try:
            while (part := stream.recv(65536)) and (whole or not _is_answer(found + part)):
                found += part
        except (TimeoutError, ConnectionError, ssl.SSLError):
            part = b""
        return found + part


def _is_answer(text: bytes) -> bool:
    top, end, body = text.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", top)
    return bool(end and length and len(body) >= int(length[1]) and b" 100 " not in top)


def statuses(answer: bytes) -> list[int]:
    """The status of each answer in it; 100 is none."""
    found = [int(one) for one in re.findall(rb"HTTP/1\.[01] (\d{3})", answer)]
    return [status for status in found if status != 100]


def reply(answer: bytes) -> Reply:
    """The first response, as the tests of forward auth need it; status 0 if there is none."""
    top, _end, body = answer.partition(b"\r\n\r\n")
    lines = [line.partition(": ") for line in top.decode("latin-1").split("\r\n")[1:]]
    headers = {name.lower(): value for name, _colon, value in lines}
    return Reply(next(iter(statuses(answer)), 0), headers, body.decode(errors="replace"))


def fields(path: str, method: str = "GET", host: str = APP, *more: tuple[str, str]) -> Fields:
    """The header of a request of HTTP/2, pseudo-headers first."""
    pseudo = [(":method", method), (":scheme", "https"), (":authority", host), (":path", path)]
    return [*pseudo, *more]


def exchange_http2(
    stream: ssl.SSLSocket, header: Fields, body: bytes | None = None, behind: Fields = ()
) -> Reply:
    """One request by HTTP/2; status 0 when the stream or the connection was ended instead.

    behind: what comes after the body.
    """
    behind = list(behind)
    is_short = body is None and not behind
    sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(SETTINGS, 0, 0, b"")
    sent += _frame(HEADERS, END_HEADERS | (END_STREAM if is_short else 0), 1, _packed(header))
    if body is not None:
        sent += _frame(DATA, 0 if behind else END_STREAM, 1, body)
    if behind:
        sent += _frame(HEADERS, END_HEADERS | END_STREAM, 1, _packed(behind))
    status, text = 0, b""
    with stream:
        stream.settimeout(8)
        stream.sendall(sent)
        for kind, flags, payload in _frames(stream):
            if kind == SETTINGS and not flags:
                stream.sendall(_frame(SETTINGS, 1, 0, b""))
            elif kind == HEADERS:
                status = status or _status(payload)
            elif kind == DATA:
                text += payload
            if kind in (RESET, GO_AWAY) or (kind in (DATA, HEADERS) and flags & END_STREAM):
                break
    return Reply(status, {}, text.decode(errors="replace"))


def _frames(stream: ssl.SSLSocket) -> Iterator[tuple[int, int, bytes]]:
    """(kind, flags, payload) of each frame, until the connection is closed or silent."""
    unread = b""
    try:
        while part := stream.recv(65536):
            unread += part
            while len(unread) >= (size := 9 + int.from_bytes(unread[:3], "big")):
                yield unread[3], unread[4], unread[9:size]
                unread = unread[size:]
    except (TimeoutError, ConnectionError, ssl.SSLError):
        return


def http2_of(port: int, authority: Path, name: str, address: str = "") -> ssl.SSLSocket:
    """A connection to a proxy of this machine that speaks HTTP/2 alone; address: whence."""
    context = ssl.create_default_context(cafile=str(authority))
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection((PROXY, port), 20, (address or PROXY, 0))
    return context.wrap_socket(plain, server_hostname=name)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    size = struct.pack(">I", len(payload))[1:]
    return size + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _packed(header: Fields) -> bytes:
    """Each field as two literals that no table remembers (RFC 7541, 6.2.3)."""
    return b"".join(b"\x10" + _string(name) + _string(value) for name, value in header)


def _string(text: str) -> bytes:
    data = text.encode("latin-1")
    left = len(data) - 127
    if left < 0:
        return bytes([len(data)]) + data
    size = bytes([127])
    while left >= 128:
        size += bytes([left % 128 + 128])
        left //= 128
    return size + bytes([left]) + data


def _status(block: bytes) -> int:
    """:status stands first; before it may be a new size of the table."""
    while block[0] & 0xE0 == 0x20:
        is_long = block[0] == 0x3F
        block = block[1:]
        while is_long and block[0] & 0x80:
            block = block[1:]
        block = block[1:] if is_long else block
    if block[0] in INDEXED:
        return INDEXED[block[0]]
    value = block[2 : 2 + (block[1] & 0x7F)]
    if not block[1] & 0x80:
        return int(value)
    found, bits = "", ""
    for bit in "".join(f"{byte:08b}" for byte in value):
        bits += bit
        if bits in DIGITS:
            found, bits = found + DIGITS[bits], ""
    return int(found[:3])
