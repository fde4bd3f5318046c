"""The Node program of docs/verify-credentials.md, as it stands there, and a running Gatehouse."""

import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devtools.servers.processes import ROOT, ServerProcess, accepts_connections, free_port, program
from tests.clients.conftest import Live

PROGRAM = ROOT / "docs" / "examples" / "ask_gatehouse.mjs"


@pytest.fixture
def port(live: Live, tmp_path: Path) -> Iterator[int]:
    port = free_port()
    environment = {
        **os.environ,
        "PORT": str(port),
        "GATEHOUSE_URL": live.url,
        "GATEHOUSE_CLIENT_ID": live.names["client_id"],
        "GATEHOUSE_CLIENT_SECRET": live.names["client_secret"],
    }
    process = ServerProcess(
        [program("node"), str(PROGRAM)], tmp_path / "node.log", environment=environment
    )
    process.wait_until(lambda: accepts_connections(port))
    yield port
    process.stop()


def _ask(port: int, headers: dict[str, str]) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/", headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, json.loads(body) if body else None


def test_the_node_program_admits_editors_and_refuses_everybody_else(live: Live, port: int) -> None:
    names = live.names
    edith = (200, {"id": names["user_id"], "role": "editor"})

    for _twice in range(2):  # the second answer is a kept one
        assert _ask(port, {"X-API-Key": names["key"]}) == edith
        assert _ask(port, {"Authorization": f"Bearer {names['token']}"}) == edith
    assert _ask(port, {"X-API-Key": names["key_of_viewer"]}) == (403, None)
    for headers in (
        {},
        {"X-API-Key": "gth_wrong"},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": f"Bearer {names['session']}"},
    ):
        assert _ask(port, headers) == (401, None)


def test_the_page_shows_the_program_that_was_run() -> None:
    page = (ROOT / "docs" / "verify-credentials.md").read_text()

    assert f"\n{PROGRAM.read_text()}```" in page
