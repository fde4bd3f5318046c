"""What systemd passes to a service: a socket that it listens on, and a channel for its state.

sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3), without their library. Everything here
does nothing where the process was not started by systemd.
"""

import logging
import os
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress

from config.server.health_check import TIMEOUT_SECONDS

FIRST_FD = 3
# No SO_DETACH_FILTER in Python: asm-generic/socket.h. Linux alone has it.
SO_DETACH_FILTER = 27
# Between two looks whether the server answers, while it starts.
POLL_SECONDS = 0.05
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

logger = logging.getLogger(__name__)


class SocketError(Exception):
    """What systemd passes cannot be used. The text says what to change in the unit."""


def passed_listener(environment: Mapping[str, str] = os.environ) -> socket.socket | None:
    """The socket of the unit gatehouse.socket, or None if systemd passed none to this process.

    Each call returns a new object for it, which the caller closes. Raises SocketError.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return None
    if environment.get("LISTEN_FDS") != "1":
        raise SocketError(
            f"systemd passed {environment.get('LISTEN_FDS') or 0} sockets, but Gatehouse listens "
            "on one: write one ListenStream= into gatehouse.socket."
        )
    listener = None
    try:
        listener = socket.socket(fileno=os.dup(FIRST_FD))
        if listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return listener
    except OSError:
        pass  # no socket
    if listener is not None:
        listener.close()
    raise SocketError(
        "What systemd passed does not listen for connections: write ListenStream= and Accept=no "
        "into gatehouse.socket."
    )


def describe(listener: socket.socket) -> str:
    """HOST:PORT or the file of a socket, for people."""
    name = listener.getsockname()
    return name if isinstance(name, str) else f"{name[0]}:{name[1]}"


def accept_again(listener: socket.socket) -> None:
    """Undo shutdown.drop_new_connections(): systemd keeps the socket for the next process."""
    if listener.family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):  # it has none
            listener.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


def notify(state: str) -> None:
    """Tell systemd the state of the service, such as READY=1. Raises nothing."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            # A leading @ stands for the abstract namespace.
            channel.sendto(state.encode(), address.replace("@", "\0", 1))
    except OSError as error:
        logger.warning("Could not tell systemd %s: %s", state, error)


def watchdog_seconds(environment: Mapping[str, str] = os.environ) -> float | None:
    """After how long without a sign of life systemd restarts the service; None: never."""
    asked = environment.get("WATCHDOG_USEC", "")
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()) or not asked.isdigit():
        return None
    return int(asked) / 1_000_000 or None


def report_life(address: tuple[str, int] | str, stopping: threading.Event) -> None:
    """Tell systemd in a thread when the server answers first, and later that it still does."""
    if os.environ.get("NOTIFY_SOCKET"):
        reports = threading.Thread(
            target=_report, args=(address, stopping), name="systemd", daemon=True
        )
        reports.start()


def _report(address: tuple[str, int] | str, stopping: threading.Event) -> None:
    while not _answers(address):
        if stopping.wait(POLL_SECONDS):
            return
    notify("READY=1")
    limit = watchdog_seconds()
    while limit and not stopping.wait(limit / 4):
        if _answers(address):
            notify("WATCHDOG=1")


def _answers(address: tuple[str, int] | str) -> bool:
    """Does a worker answer? Without the database, whose failure no restart mends."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    if not isinstance(address, str) and ":" in address[0]:
        family = socket.AF_INET6
    try:
        with socket.socket(family) as connection:
            connection.settimeout(TIMEOUT_SECONDS)
            connection.connect(address)
            connection.sendall(LIVE)
            return connection.recv(12).endswith(b" 200")
    except OSError:
        return False
