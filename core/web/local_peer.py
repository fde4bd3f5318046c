"""Which process of this machine is the peer of a connection (Linux: /proc).

A request does not show whether it comes from a user on this machine, or through a proxy or tunnel
that adds no header. The kernel knows who owns the connecting process, and whether it is a server.
"""

import ipaddress
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
PROC = Path("/proc")
TABLES = ("net/tcp", "net/tcp6")
ESTABLISHED, LISTENING = "01", "0A"


@dataclass(frozen=True, slots=True)
class Connection:
    """One line of the kernel's table. local, remote: address and port in hexadecimal."""

    local: str
    remote: str
    state: str
    user_id: int
    inode: str

    @property
    def local_port(self) -> int:
        return _port(self.local)


def is_own_client(peer: Address, peer_port: str, server_port: str) -> bool:
    """Whether the peer is a process of the user who runs this server and serves no one else.

    A process that listens beyond loopback, or that holds a connection which another process has
    made to it, may be a proxy or tunnel. Connections that this server has made do not count: a
    program may start the server and receive its mail. Returns False when this cannot be determined,
    but True on systems without /proc (not Linux), where nothing more is known.
    """
    if sys.platform != "linux":
        return True
    if not (peer_port.isdecimal() and server_port.isdecimal()):
        return False
    connections = list(_connections())
    ends = {f"{text}:{int(peer_port):04X}" for text in _spellings(peer)}
    found = [
        each for each in connections
        if each.local in ends
        and _port(each.remote) == int(server_port)
        and each.state == ESTABLISHED
    ]  # fmt: skip
    # A socket without a process has inode 0: the client has closed it.
    if len(found) != 1 or found[0].user_id != os.geteuid() or found[0].inode == "0":
        return False
    held = dict(_held_sockets())
    holders = [sockets for sockets in held.values() if found[0].inode in sockets]
    if not holders:
        return False
    theirs = set[str]().union(*holders)
    ours = set[str]().union(*(sockets for process, sockets in held.items() if _is_ours(process)))
    return not _serves_others(connections, theirs, known=theirs | ours)


def _serves_others(connections: list[Connection], theirs: set[str], known: set[str]) -> bool:
    """Whether the holder of `theirs` listens beyond loopback, or has callers not in `known`."""
    listening = [each for each in connections if each.state == LISTENING]
    if any(each.inode in theirs and not _is_loopback(each.local) for each in listening):
        return True
    ports = {each.local_port for each in listening}
    callers = {(_plain(each.local), _plain(each.remote)): each.inode for each in connections}
    return any(
        callers.get((_plain(each.remote), _plain(each.local))) not in known
        for each in connections
        if each.inode in theirs and each.state != LISTENING and each.local_port in ports
    )


def _plain(end: str) -> str:
    """An IPv4 end as the table of IPv4 spells it; an IPv6 socket may have it, too."""
    return end.removeprefix("0000000000000000FFFF0000")


def _is_ours(process: int) -> bool:
    """Whether it is this process, or another worker of the same main process."""
    if process == os.getpid():
        return True
    with suppress(OSError, ValueError):
        parent = int((PROC / str(process) / "stat").read_text().rpartition(")")[2].split()[1])
        main = _link(PROC / str(os.getppid()) / "exe")
        return parent == os.getppid() and main == _link(PROC / "self" / "exe")
    return False


def _connections() -> Iterator[Connection]:
    for table in TABLES:
        try:
            lines = (PROC / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            yield Connection(columns[1], columns[2], columns[3], int(columns[7]), columns[9])


def _held_sockets() -> Iterator[tuple[int, set[str]]]:
    """Each process whose files this process may read, and the inodes of its sockets."""
    for process in PROC.iterdir():
        if process.name.isdecimal():
            # The process may have ended, belong to another user, or close a file meanwhile.
            with suppress(OSError):
                links = [_link(each) for each in (process / "fd").iterdir()]
                sockets = {link[8:-1] for link in links if link.startswith("socket:[")}
                yield int(process.name), sockets


def _link(file: Path) -> str:
    with suppress(OSError):
        return os.readlink(file)
    return ""


def _spellings(address: Address) -> Iterator[str]:
    """The spellings of an address in the tables: 4-byte words in the byte order of the machine."""
    packed = address.packed
    if isinstance(address, ipaddress.IPv4Address):
        yield _hexadecimal(packed)
        # An IPv6 socket connected to an IPv4 address.
        packed = bytes(10) + b"\xff\xff" + packed
    yield _hexadecimal(packed)


def _hexadecimal(packed: bytes) -> str:
    words = (packed[start : start + 4] for start in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)


def _is_loopback(local: str) -> bool:
    text = local.partition(":")[0]
    packed = b"".join(
        int(text[start : start + 8], 16).to_bytes(4, sys.byteorder)
        for start in range(0, len(text), 8)
    )
    address = ipaddress.ip_address(packed)
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _port(end: str) -> int:
    return int(end.rpartition(":")[2], 16)
