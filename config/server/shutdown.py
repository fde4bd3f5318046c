"""Stops a worker without losing a request that a proxy has sent.

Closing a listening socket resets queued connections, and the server library closes connections of
which it has read nothing yet. Either may carry a form, which a proxy sends only once. So a worker
first stops accepting connections, then reads the existing ones, and then ends. A client that
connects meanwhile repeats its first packet a second later, and is refused at once.
"""

import ctypes
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress

# Enough to read the queued connections, also on a busy machine.
SETTLE_SECONDS = 0.25
FILES = "/proc/self/fd"
# Linux alone has these: asm-generic/socket.h; kernel.org, Documentation/networking/filter.rst.
SO_ATTACH_FILTER = 26
TCP_FLAGS, SYN, SYN_AND_ACK = 13, 0x02, 0x12
LOAD_BYTE, AND, SKIP_UNLESS_EQUAL, ANSWER = 0x30, 0x54, 0x15, 0x06
DROP, ACCEPT = 0, 0xFFFF_FFFF
# Drops the first packet of a connection, and lets handshakes that have begun finish.
DROP_SYN_FILTER = (
    (LOAD_BYTE, 0, 0, TCP_FLAGS),
    (AND, 0, 0, SYN_AND_ACK),
    (SKIP_UNLESS_EQUAL, 0, 1, SYN),
    (ANSWER, 0, 0, DROP),
    (ANSWER, 0, 0, ACCEPT),
)


def stop_accepting() -> None:
    """Let no new connection reach this process. Does nothing on systems without such a filter."""
    for listener in listeners():
        with listener, suppress(OSError):
            drop_new_connections(listener)


def drop_new_connections(listener: socket.socket) -> None:
    """Drop new connections; existing and half-open ones stay. Raises OSError."""
    code = b"".join(struct.pack("HBBI", *step) for step in DROP_SYN_FILTER)
    steps = ctypes.create_string_buffer(code)
    program = struct.pack("HL", len(DROP_SYN_FILTER), ctypes.addressof(steps))
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def listeners() -> Iterator[socket.socket]:
    """The listening TCP sockets of this process, including those of libraries."""
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
