"""`manage.py serve` under systemd: the socket it passes, and what it is told of the state."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from config.environment.variables import BY_NAME
from config.server import systemd
from devtools.servers.databases import InstanceData
from devtools.servers.processes import ROOT, STOP_SECONDS, program, wait_for

# What systemd does between fork and exec, MemoryDenyWriteExecute= included (Linux 6.3 and newer).
START = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)
os.dup2(int(sys.argv[1]), 3, inheritable=True)
os.environ["LISTEN_PID"] = os.environ["WATCHDOG_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, "manage.py", "serve"])
"""
SECONDS = 60.0
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture
def states(tmp_path: Path) -> Iterator[socket.socket]:
    """The channel of NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(SECONDS)
        yield channel


@pytest.fixture(params=["port", "file"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of gatehouse.socket."""
    if request.param == "port":
        opened = socket.create_server(("127.0.0.1", 0))
    else:
        opened = socket.socket(socket.AF_UNIX)
        opened.bind(str(tmp_path / "gatehouse.sock"))
        opened.listen()
    with opened:
        yield opened


def _connect(listener: socket.socket) -> socket.socket:
    caller = socket.socket(listener.family)
    caller.settimeout(SECONDS)
    caller.connect(listener.getsockname())
    return caller


def _status(caller: socket.socket) -> int:
    with caller:
        answer = http.client.HTTPResponse(caller)
        answer.begin()
        return answer.status


def test_connections_wait_for_the_server_and_systemd_learns_its_state(
    listener: socket.socket, states: socket.socket, sqlite_data: InstanceData, tmp_path: Path
) -> None:
    waiting = _connect(listener)
    waiting.sendall(LIVE)
    environment = sqlite_data.environment(
        HOST="203.0.113.1",  # not of this machine
        PUBLIC_URL="http://localhost:8000",
        LISTEN_FDS="1",
        NOTIFY_SOCKET=states.getsockname(),
        WATCHDOG_USEC="200000",
        WEB_WORKERS="2",
    )
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", START, str(listener.fileno())],
            cwd=ROOT, env=environment, stdout=log, stderr=log, pass_fds=[listener.fileno()],
            start_new_session=True,
        )  # fmt: skip
    try:
        assert _status(waiting) == 200
        assert states.recv(100) == b"READY=1"
        assert states.recv(100) == b"WATCHDOG=1"

        server.send_signal(signal.SIGTERM)
        while (state := states.recv(100)) == b"WATCHDOG=1":
            pass

        assert state == b"STOPPING=1"
        assert server.wait(STOP_SECONDS) == 0
        # systemd keeps the socket: who connects now waits for the next process.
        caller = _connect(listener)
        assert wait_for(lambda: _is_queued(listener))
        caller.close()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(STOP_SECONDS)
    assert "opened by systemd" in (tmp_path / "log").read_text()


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """The shipped units, with this folder instead of /opt/gatehouse."""
    files = []
    for name in ("gatehouse.service", "gatehouse.socket"):
        text = (ROOT / "deploy" / "systemd" / name).read_text()
        file = tmp_path / name
        file.write_text(text.replace("/opt/gatehouse", str(ROOT)))
        files.append(str(file))
    return files


def test_systemd_accepts_the_units(units: list[str]) -> None:
    command = [program("systemd-analyze"), "verify", "--man=no", *units]
    done = subprocess.run(command, capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_service_has_few_rights(units: list[str]) -> None:
    """systemd rates what an intruder could do: 0 to 100; above 20 it exits with 1."""
    command = [program("systemd-analyze"), "security", "--offline=true", "--threshold=20", units[0]]
    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout


def test_the_service_sets_only_settings_that_exist() -> None:
    text = (ROOT / "deploy" / "systemd" / "gatehouse.service").read_text()
    lines = re.findall(r"(?m)^(?:# )?Environment=(.*)$", text)
    names = {
        pair.partition("=")[0].removesuffix("_FILE") for line in lines for pair in line.split()
    }

    assert names - {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"} == {"DATA_DIR", "SECRET_KEY"}
    assert {"DATA_DIR", "SECRET_KEY"} <= set(BY_NAME)


def _is_queued(listener: socket.socket) -> bool:
    listener.settimeout(0)
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize("passed", ["0", "2", ""])
def test_any_other_number_of_sockets_is_refused(passed: str) -> None:
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": passed}

    with pytest.raises(systemd.SocketError, match="write one ListenStream="):
        systemd.passed_listener(environment)


def test_sockets_of_another_process_are_left_alone() -> None:
    environment = {"LISTEN_PID": str(os.getppid()), "LISTEN_FDS": "1"}

    assert systemd.passed_listener(environment) is None


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, None])
def test_what_does_not_listen_is_refused(
    kind: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    opened = socket.socket(socket.AF_INET, kind) if kind else (tmp_path / "file").open("wb")
    with opened:
        monkeypatch.setattr(systemd, "FIRST_FD", opened.fileno())

        with pytest.raises(systemd.SocketError, match="does not listen for connections"):
            systemd.passed_listener(environment)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_of_this_process(asked: dict[str, str], seconds: float | None) -> None:
    assert systemd.watchdog_seconds(asked) == seconds


def test_a_channel_that_is_gone_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))

    systemd.notify("READY=1")

    assert "Could not tell systemd READY=1" in caplog.text


def test_the_channel_may_be_abstract(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0gatehouse-{os.getpid()}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@gatehouse-{os.getpid()}")

        systemd.notify("READY=1")

        assert channel.recv(100) == b"READY=1"
