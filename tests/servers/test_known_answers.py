"""Known answers to questions of apps are sent where bodies are read, without a thread of Django."""

import asyncio
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest

from api.kept_answers import keep_answer
from applications.answer_cache import PATH
from config.server.dispatch import Serving, Start
from config.server.raw_request import Environ
from forward_auth.checker import CHECKER
from forward_auth.request import MAX_HEADER_LENGTH
from forward_auth.wsgi import FastPath

FORM = [(b"host", b"localhost"), (b"content-type", b"application/x-www-form-urlencoded")]


class Question:
    """A request whose body arrives in two pieces."""

    def __init__(self, body: bytes, **scope: Any) -> None:
        self.scope = {
            "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": PATH, "raw_path": PATH.encode(), "query_string": b"", "root_path": "",
            "client": ("127.0.0.1", 4000), "server": ("127.0.0.1", 8000),
            "headers": [*FORM, (b"content-length", str(len(body)).encode())], **scope,
        }  # fmt: skip
        self.proto = self
        self.pieces = [body[:3], body[3:]]
        self.sent: list[dict[str, Any]] = []
        self.is_answered = threading.Event()

    async def receive(self) -> dict[str, Any]:
        piece = self.pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if "body" in message:
            self.is_answered.set()

    def done(self) -> None:
        """The library answers 500 unless something was answered."""


class Site:
    """Serving over a FastPath over a Django that numbers its answers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.count, self.version = 0, "1"
        self.fast = FastPath(self.django, CHECKER)
        questions = self.fast.questions
        questions._data_version = lambda: self.version
        questions._watch = lambda: lambda: self.version
        self.serving = Serving(
            self.fast.__call__, lambda _scope: (None, None), 1, loop, self.fast.known_answers
        )

    def django(self, environ: Environ, start: Start) -> Iterable[bytes]:
        self.count += 1
        assert isinstance(environ["wsgi.input"], BytesIO)
        keep_answer(environ, datetime.now(UTC) + timedelta(days=1))
        start("200 OK", [("Cache-Control", "no-store")])
        return [f"answer {self.count}".encode()]

    def ask(self, body: bytes = b"token=x", **scope: Any) -> tuple[int, str]:
        question = Question(body, **scope)
        self.serving.take(question)
        assert question.is_answered.wait(10)
        start, rest = question.sent
        return start["status"], rest["body"].decode()


@pytest.fixture
def site() -> Iterator[Site]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield Site(loop)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_known_question_reaches_no_thread_of_django(site: Site) -> None:
    assert site.ask() == (200, "answer 1")
    site.serving._application = None  # type: ignore[assignment]
    assert site.ask() == (200, "answer 1")


def test_a_change_and_whatever_differs_reach_django(site: Site) -> None:
    assert [site.ask(), site.ask(b"token=y")] == [(200, "answer 1"), (200, "answer 2")]
    site.version = "2"
    assert [site.ask(), site.ask()] == [(200, "answer 3")] * 2
    assert site.ask(query_string=b"a=b") == (200, "answer 4")
    assert site.ask(method="PUT") == (200, "answer 5")
    assert site.ask(raw_path=b"/api/v1/users") == (200, "answer 6")
    long = [*FORM, (b"content-length", b"7"), (b"x-long", b"x" * (MAX_HEADER_LENGTH + 1))]
    assert site.ask(headers=long)[0] == 431
    assert site.ask() == (200, "answer 3")
