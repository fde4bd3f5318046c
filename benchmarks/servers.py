"""The servers that are measured: Gatehouse as an operator starts it, and the bare one."""

import dataclasses
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.wsgi_baseline import BARE
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import is_live
from devtools.servers.processes import ServerProcess, accepts_connections, free_port

PUBLIC_URL = "http://localhost:8000"
# The counters work as always; they must only not end the measurement.
LIMITS = {
    "LOGIN_MAX": "100000",
    "LOGIN_WINDOW": "1m",
    "MAGIC_LINK_MAX": "100000",
    "RECIPIENT_MAIL_MAX": "100000",
    "MAGIC_LINK_WINDOW": "1m",
    "MAGIC_LINK_EXPIRY": "1h",
    "API_KEY_MAX": "100000000",
}
PASSWORD = "seven green bottles on a wall"
# Accounts are made directly: making them is not what is measured.
MAKE_USERS = """
from django.contrib.auth.hashers import make_password
from django.utils import timezone
from accounts.models import User
hashed = make_password({password!r})
people = [
    User(email=f"person{{number}}@example.com", username=f"person{{number}}", role="viewer",
         password=hashed, email_verified_at=timezone.now())
    for number in range({count})
]
User.objects.bulk_create(people, batch_size=500)
result = len(people)
"""


def email_of(number: int) -> str:
    """The address of one of the people that make_people() makes."""
    return f"person{number}@example.com"


def make_data(folder: Path, database_url: str = "") -> InstanceData:
    """An instance's data as the first start leaves them; to fill them may take any time."""
    url = database_url or f"sqlite:///{folder / 'gatehouse.sqlite3'}"
    data = InstanceData("benchmark", url, folder, seconds=None)
    prepared = data.manage("serve", "--prepare-only")
    if prepared.returncode != 0:
        raise RuntimeError(prepared.stderr)
    return data


def make_users(data: InstanceData, count: int) -> None:
    """`count` viewers with a proved address and PASSWORD."""
    data.shell(MAKE_USERS.format(password=PASSWORD, count=count))


def make_checked(folder: Path, users: int, database_url: str = "") -> InstanceData:
    """make_data() with people, whose sessions outlive every measurement of checks."""
    folder.mkdir(exist_ok=True)
    data = make_data(folder, database_url)
    data = dataclasses.replace(data, extra={"PUBLIC_URL": PUBLIC_URL, "SESSION_EXPIRY": "1d"})
    make_users(data, users)
    return data


@contextmanager
def gatehouse(
    data: InstanceData, processes: int = 1, *more: str, niceness: int = 0
) -> Iterator[tuple[ServerProcess, int]]:
    """`manage.py serve` over `data` with `processes` server processes: the process and its port.

    more: further arguments. niceness: 10 gets the processor after others.
    """
    port = free_port()
    environment = data.environment(
        PORT=str(port), WEB_WORKERS=str(processes), LOG_LEVEL="warning", **LIMITS
    )
    command = ["nice", "-n", str(niceness), sys.executable, "manage.py", "serve", *more]
    log = data.data_dir / f"log{port}"
    with _running(ServerProcess(command, log, environment=environment)) as server:
        server.wait_until(lambda: is_live(port))
        yield server, port


@contextmanager
def bare(folder: Path, processes: int = 1, threads: int = 8) -> Iterator[tuple[ServerProcess, int]]:
    """The bare server: the process and its port."""
    with wsgi_server(BARE, folder, processes, threads) as running:
        yield running


@contextmanager
def wsgi_server(
    target: str,
    folder: Path,
    processes: int,
    threads: int = 8,
    environment: dict[str, str] | None = None,
) -> Iterator[tuple[ServerProcess, int]]:
    """Another application (module:name), served as the bare one is; it answers /health/live."""
    port = free_port()
    numbers = [str(number) for number in (port, processes, threads)]
    command = [sys.executable, "-m", "benchmarks.wsgi_baseline", *numbers, target]
    log = folder / f"{target.partition(':')[0]}.log"
    with _running(ServerProcess(command, log, environment=environment)) as server:
        server.wait_until(lambda: is_live(port))
        yield server, port


@contextmanager
def _running(server: ServerProcess) -> Iterator[ServerProcess]:
    try:
        yield server
    finally:
        server.stop()


def seconds_to_answer(
    command: list[str], port: int, log: Path, environment: dict[str, str]
) -> float:
    """From the start of the process to the first 200 on /health/live."""
    begin = time.perf_counter()
    with _running(ServerProcess(command, log, environment=environment)) as server:
        pause = threading.Event()
        while not (accepts_connections(port) and is_live(port)):
            pause.wait(0.005)
            if server.process.poll() is not None:
                raise RuntimeError(server.output()[-2000:])
        return time.perf_counter() - begin


def memory_of(server: ServerProcess) -> float:
    """Proportional set size of the process and all its children, in MB of a million bytes."""
    return sum(_proportional_bytes(pid) for pid in _group(server.pid)) / 1_000_000


def processor_seconds_of(server: ServerProcess) -> float:
    """Processor time that the process and all its living children have used."""
    return sum(_ticks(pid) for pid in _group(server.pid)) / os.sysconf("SC_CLK_TCK")


def processor_seconds_of_family(pid: int) -> float:
    """See processor_seconds_of(); for PostgreSQL, whose processes have sessions of their own.

    Children that have ended count as well.
    """
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = _ticks(pid, with_ended_children=True) + sum(_ticks(int(child)) for child in children)
    return ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int, *, with_ended_children: bool = False) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if with_ended_children else 13]))


def _group(leader: int) -> list[int]:
    """Every process of the leader's own session; start_new_session gave it one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == leader:
            found.append(int(folder.name))
    return found


def _proportional_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
