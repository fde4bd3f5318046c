"""Starts programs on free ports, waits until they respond, and stops exactly those processes."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.02
STOP_SECONDS = 10.0
# Linux uses ports from LOWEST_OUTGOING on for connections (net.ipv4.ip_local_port_range).
LOWEST_PORT, LOWEST_OUTGOING = 10_000, 32_768


def free_port() -> int:
    """A TCP port that no program uses at this moment.

    It is below the ports of outgoing connections. Tests open thousands of those, and one of them
    could otherwise take the port before the server has started.
    """
    while True:
        port = LOWEST_PORT + secrets.randbelow(LOWEST_OUTGOING - LOWEST_PORT)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port


def program(*names: str) -> str:
    """The path of the first installed program of these; fails the test if there is none."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    message = f"None of {', '.join(names)} is installed; `make test` installs what the tests need."
    raise FileNotFoundError(message)


class ServerProcess:
    """A child process in a new process group, whose output goes to a file."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self.log = log
        self.command = list(command)
        # A program that refuses to run as root must not keep the groups of root either.
        identity: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if user else {}
        with log.open("ab") as output:
            # Any: a Forked of devtools.servers.quick has the same methods.
            self.process: Any = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT if user is None else log.parent,
                env=dict(environment) if environment is not None else None,
                start_new_session=True,
                **identity,
            )

    @property
    def pid(self) -> int:
        return int(self.process.pid)

    def children(self) -> list[int]:
        """The process ids of its children, such as the workers of Gatehouse."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(child) for child in children.read_text().split()]

    def output(self) -> str:
        """The output of the program."""
        return self.log.read_text(errors="replace")

    def wait_until(self, is_ready: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait. Raises RuntimeError with the end of the output if it exits or takes too long."""
        if not wait_for(lambda: self.process.poll() is not None or is_ready(), seconds):
            self.stop()
            raise RuntimeError(f"{self.log.name}: did not answer in time:\n{self.output()[-2000:]}")
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.log.name}: ended at once:\n{self.output()[-2000:]}")

    def stop(self, first: signal.Signals = signal.SIGTERM) -> None:
        """Stop the program, then kill its process group, which start_new_session made."""
        if self.process.poll() is None:
            self.process.send_signal(first)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kill the program and its children without clean-up (`kill -9`)."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_SECONDS)


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait until the condition holds; False if it does not within `seconds`."""
    pause = threading.Event()
    for _ in range(max(1, int(seconds / POLL_SECONDS))):
        if condition():
            return True
        pause.wait(POLL_SECONDS)
    return condition()


def accepts_connections(port: int) -> bool:
    """Does a program listen on 127.0.0.1:port?"""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True
