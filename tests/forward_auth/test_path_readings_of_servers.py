"""Real proxies and servers: an app sees only paths that the rules were checked for.

For each path of many the app tells how it reads it. That has to be among our readings, or there
are none, and then every rule counts.
"""

import json
import random
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.servers.processes import ServerProcess
from forward_auth.rules.path_readings import readings_of
from tests.forward_auth.apps import HERE, files_server, start_node, start_proxy, start_wsgi
from tests.forward_auth.test_path_readings import PIECES, TRICKS

APPS = ("wsgi", "node", "send", "files")
PROXIES = ("nginx", "caddy", "haproxy")
MANY = 400


def paths() -> list[str]:
    """The tricks, and others made of the same pieces; the same ones in every run."""
    dice = random.Random(20_13)
    others = ["/" + "".join(dice.choices(PIECES, k=dice.randint(1, 7))) for _one in range(MANY)]
    # A space or control character would end the line of the request.
    return [path for path in [*TRICKS, *others] if path.isprintable() and " " not in path]


@pytest.fixture(scope="module", params=APPS)
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, int]]:
    name, folder = request.param, tmp_path_factory.mktemp("app")
    if name == "files":
        server = files_server()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield name, int(server.server_address[1])
        server.shutdown()
        server.server_close()
        return
    port, process = start_wsgi(folder) if name == "wsgi" else start_node(folder, name)
    process.wait_until(lambda: answers(port))
    yield name, port
    process.stop()


@pytest.fixture(params=PROXIES)
def ports(
    request: pytest.FixtureRequest, app: tuple[str, int], tmp_path: Path
) -> Iterator[list[int]]:
    found, process = start_proxy(request.param, app[1], tmp_path)
    wait(process, found)
    yield found
    process.stop()


def wait(process: ServerProcess, found: list[int]) -> None:
    process.wait_until(lambda: all(map(answers, found)))


def answers(port: int) -> bool:
    try:
        return read_by(port, "/") == "/"
    except OSError:
        return False


def read_by(port: int, path: str) -> str | None:
    """How the app behind `port` reads `path`; None if it is rejected."""
    with socket.create_connection((HERE, port), 10) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: {HERE}:{port}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode("latin-1"))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    first, _line, rest = answer.partition(b"\r\n")
    if b" 200 " not in first + b" ":
        return None
    body = rest.partition(b"\r\n\r\n")[2]
    found: str = json.loads(body[body.index(b'"') : body.rindex(b'"') + 1])
    return found


def test_an_app_sees_only_paths_that_the_rules_were_checked_for(
    app: tuple[str, int], ports: list[int]
) -> None:
    missed, answered = [], 0
    for path in paths():
        known = readings_of(path)
        for port in (app[1], *ports):
            read = read_by(port, path)
            answered += read is not None
            # What follows a slash or not is one place for a rule.
            if read is not None and known and not same(read, known):
                missed.append((path, read, known))

    assert missed == []
    assert answered > MANY


def same(read: str, known: tuple[str, ...]) -> bool:
    return skeleton(read) in set(map(skeleton, known))


def skeleton(path: str) -> str:
    """What decides where a path leads; some take bytes beyond ASCII for latin-1, some for UTF-8."""
    return re.sub(r"[^\x00-\x7f]", "", path).rstrip("/") or "/"
