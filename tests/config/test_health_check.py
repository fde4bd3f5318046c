"""The health check of the image: what it asks for, and when it reports that the server is well."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from devtools.servers.processes import ROOT

CHECK = [sys.executable, "-IS", str(ROOT / "config" / "server" / "health_check.py")]


def _check(listener: socket.socket, answer: bytes, **settings: str) -> tuple[int, list[str]]:
    """The exit code of the check against a server with this answer, and the request."""
    asked = []

    def respond() -> None:
        connection, _address = listener.accept()
        with connection:
            asked.append(connection.recv(1000).decode())
            connection.sendall(answer)

    server = threading.Thread(target=respond)
    server.start()
    done = subprocess.run(CHECK, env={**os.environ, **settings}, capture_output=True)
    server.join()
    return done.returncode, asked[0].splitlines()


@pytest.mark.parametrize(("status", "code"), [("200 OK", 0), ("503 Service Unavailable", 1)])
def test_only_a_server_that_is_ready_is_healthy(status: str, code: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = {"HOST": "0.0.0.0", "PORT": str(listener.getsockname()[1])}
        exit_code, request = _check(listener, f"HTTP/1.1 {status}\r\n\r\n".encode(), **settings)

    assert exit_code == code
    assert request[:2] == ["GET /health/ready HTTP/1.1", "Host: localhost"]


def test_a_socket_file_is_asked_too(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "gate.sock"))
        listener.listen()
        answer = b"HTTP/1.1 200 OK\r\n\r\n"
        exit_code, _request = _check(listener, answer, HOST=f"unix:{tmp_path}/gate.sock")

    assert exit_code == 0


def test_without_a_server_the_check_fails_in_one_line(tmp_path: Path) -> None:
    environment = {**os.environ, "HOST": f"unix:{tmp_path}/none.sock"}
    done = subprocess.run(CHECK, env=environment, capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stderr == "/health/ready: [Errno 2] No such file or directory\n"
