"""How a worker stops without losing a request that a proxy has handed to it.

Whoever closes a listening socket resets the connections that wait there, and the server library
closes those of which it has read nothing yet. Either may hold a form, which a proxy hands over only
once. So a worker first lets no connection begin, takes and reads those that are there, and stops
then. What asks meanwhile sends its first packet again a second later, and is refused at once.
"""

import ctypes
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress

# Enough for the connections that are there, also on a starved machine.
SETTLE_SECONDS = 0.25
FILES = "/proc/self/fd"
# Linux alone has these: asm-generic/socket.h; kernel.org, Documentation/networking/filter.rst.
SO_ATTACH_FILTER = 26
TCP_FLAGS, SYN, SYN_AND_ACK = 13, 0x02, 0x12
LOAD_BYTE, AND, SKIP_UNLESS_EQUAL, ANSWER = 0x30, 0x54, 0x15, 0x06
DROP, TAKE = 0, 0xFFFF_FFFF
# What begins a connection is dropped; handshakes that have begun are ended.
NO_BEGINNING = (
    (LOAD_BYTE, 0, 0, TCP_FLAGS),
    (AND, 0, 0, SYN_AND_ACK),
    (SKIP_UNLESS_EQUAL, 0, 1, SYN),
    (ANSWER, 0, 0, DROP),
    (ANSWER, 0, 0, TAKE),
)


def let_nobody_begin() -> None:
    """No new connection reaches this process; does nothing where the system cannot do that."""
    for listener in listeners():
        with listener, suppress(OSError):
            drop_beginnings(listener)


def drop_beginnings(listener: socket.socket) -> None:
    """Connections that are there or half there stay. Raises OSError."""
    code = b"".join(struct.pack("HBBI", *step) for step in NO_BEGINNING)
    steps = ctypes.create_string_buffer(code)
    program = struct.pack("HL", len(NO_BEGINNING), ctypes.addressof(steps))
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def listeners() -> Iterator[socket.socket]:
    """The listening TCP sockets of this process, whoever has opened them."""
    with suppress(OSError):
        for name in os.listdir(FILES):
            with suppress(OSError):
                if not stat.S_ISSOCK(os.stat(int(name)).st_mode):
                    continue
                found = socket.socket(fileno=os.dup(int(name)))
                is_internet = found.family in (socket.AF_INET, socket.AF_INET6)
                if is_internet and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    yield found
                else:
                    found.close()
