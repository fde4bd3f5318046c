"""Bodies that arrive in several pieces: files and exports are complete and in order."""

import asyncio
import threading
from collections.abc import Awaitable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from config.server import dispatch
from config.server.dispatch import Serving, Start, fast_path_only
from config.server.raw_request import Environ
from devtools.servers.databases import Templates
from devtools.servers.gatehouse import Gatehouse

USERS = 3000
SCOPE = {
    "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": "/export",
    "raw_path": b"/export", "query_string": b"", "root_path": "", "headers": [(b"host", b"x")],
    "client": ("127.0.0.1", 4000), "server": ("127.0.0.1", 8000),
}  # fmt: skip
# An owner's key, and more users than one piece of an export holds.
SEED = f"""
from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services import users
from api.apikeys.services import KeyRequest, create_key
owner = users.create_user(actor=SYSTEM, email="owner@example.com", role="owner", verified=True)
User.objects.bulk_create(
    User(email=f"u{{number:05}}@example.com", name="Person with a name", role="viewer")
    for number in range({USERS})
)
key_request = KeyRequest("export", scopes=["read", "users"])
result = create_key(actor=owner, user=owner, key_request=key_request).text
"""


@pytest.fixture(scope="module")
def server(
    data_templates: Templates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gatehouse]:
    folder = tmp_path_factory.mktemp("streams")
    data = data_templates.fresh("sqlite", folder)
    running = Gatehouse(data, folder, 1, {})
    yield running
    running.stop()


def _largest(folder: Path, ending: str) -> Path:
    return max(folder.rglob(f"*{ending}"), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize("ending", [".js", ".js.gz"])
def test_a_large_file_arrives_as_it_is(server: Gatehouse, ending: str) -> None:
    file = _largest(server.data.data_dir / "static", ending)
    path = f"/static/{file.relative_to(server.data.data_dir / 'static')}".removesuffix(".gz")
    coding = "gzip" if ending.endswith(".gz") else "identity"

    def ask(_number: int) -> tuple[int, bytes]:
        answer = server.client().get(path, {"Accept-Encoding": coding})
        return answer.status, answer.body

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(24)))

    assert file.stat().st_size > 40_000
    assert {status for status, _body in answers} == {200}
    assert {body == file.read_bytes() for _status, body in answers} == {True}


def test_a_long_export_arrives_in_order(server: Gatehouse) -> None:
    key = server.data.shell(SEED)

    answer = server.client().get("/api/v1/users/export", {"X-API-Key": key})

    users = [f"u{number:05}@example.com" for number in range(USERS)]
    first_cells = [line.partition(b",")[0].decode() for line in answer.body.splitlines()]
    assert answer.status == 200
    assert len(answer.body) > 2 * dispatch.PIECE
    assert first_cells == ["email", "owner@example.com", *users]


class Download:
    """A request for a long stream, in a process whose client takes pieces when the test says so.

    made: how many pieces the page has made. closed: set when the page has been told of the end.
    """

    streaming = True

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.scope = {**SCOPE}
        self.proto = self
        self.made = 0
        self.sent: list[bytes] = []
        self.closed, self.done_with = threading.Event(), threading.Event()
        self.is_waiting, self.may_take = threading.Semaphore(0), asyncio.Semaphore(0)
        self._loop = loop

    def __iter__(self) -> Iterator[bytes]:
        for self.made in range(1, 4):
            yield bytes([self.made]) * dispatch.PIECE

    def close(self) -> None:
        self.closed.set()

    def send(self, message: dict[str, Any]) -> Awaitable[None] | None:
        return self._take(message["body"]) if "body" in message else None

    async def _take(self, body: bytes) -> None:
        self.is_waiting.release()
        await self.may_take.acquire()
        self.sent.append(body[:1])

    def done(self) -> None:
        self.done_with.set()

    def take_one(self) -> None:
        self._loop.call_soon_threadsafe(self.may_take.release)

    def answer(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """The application."""
        start("200 OK", [("Content-Type", "text/csv")])
        return self


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    running = asyncio.new_event_loop()
    thread = threading.Thread(target=running.run_forever)
    thread.start()
    yield running
    running.call_soon_threadsafe(running.stop)
    thread.join()
    running.close()


def _serve(download: Download, loop: asyncio.AbstractEventLoop) -> Serving:
    application = fast_path_only(download.answer)
    serving = Serving(application, lambda _scope: (None, None), threads=1, loop=loop)
    serving.take(download)
    return serving


def test_a_piece_is_made_when_the_client_has_taken_the_one_before(
    loop: asyncio.AbstractEventLoop,
) -> None:
    download = Download(loop)
    _serve(download, loop)

    for number in (1, 2, 3):
        assert download.is_waiting.acquire(timeout=10)
        assert (download.made, len(download.sent)) == (number, number - 1)
        download.take_one()
    assert download.is_waiting.acquire(timeout=10)
    download.take_one()

    assert download.done_with.wait(10)
    assert download.sent == [b"\1", b"\2", b"\3", b""]


def test_a_client_that_takes_nothing_keeps_no_thread(
    loop: asyncio.AbstractEventLoop,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(dispatch, "PIECE_SECONDS", 0.05)
    stuck, other = Download(loop), Download(loop)
    serving = _serve(stuck, loop)

    assert stuck.done_with.wait(10)
    serving.take(other)

    assert stuck.closed.is_set()
    assert (stuck.made, stuck.sent) == (1, [])
    assert other.done_with.wait(10)
    assert {record.levelname for record in caplog.records} == {"WARNING"}
