"""Assigns the requests of one server process to its threads.

The library calls `Serving.take` with each request, in one of a few threads of its own. There the
fast path answers checks, the key set and the liveness probe. Requests that need Django are queued
for other threads, after their bodies have arrived. So neither slow pages nor clients that never
send a body delay a check. Sign-ins have half of those threads at most, and wait outside of them.
"""

import asyncio
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from io import BytesIO
from queue import SimpleQueue
from typing import Any

from django.conf import settings

from config.server.content_type import readable
from config.server.raw_request import Environ, Unreadable, environ_of, has_body
from core import metrics
from core.web.response_headers import bare_headers, encoded
from forward_auth.wsgi import CACHED_RESULT

logger = logging.getLogger(__name__)
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Iterable[bytes]]
# FastPath.cached_response: (two ASGI messages or None, cached result or None) for a scope.
Message = dict[str, Any]
CachedResponse = Callable[[Mapping[str, Any]], tuple[tuple[Message, Message] | None, Any]]
# FastPath.known_answers: a function from the body of this request to two ASGI messages or None.
Known = Callable[[bytes], tuple[Message, Message] | None]
KnownAnswers = Callable[[Mapping[str, Any], Environ], Known | None]
READING = frozenset({"GET", "HEAD"})
# A body that has not arrived completely by then is abandoned.
BODY_SECONDS = 20.0
# Like the shipped proxy examples. Django accepts less for anything that is no file.
MAX_BODY = 1024 * 1024
# All bodies of a process together, from the first byte to the end of the response.
MAX_HELD = 64 * 1024 * 1024
# A streamed body of a known length up to this is sent at once.
MAX_AT_ONCE = 1024 * 1024
# What a thread waits for at once when it sends a longer body, and how long at most.
PIECE = 64 * 1024
PIECE_SECONDS = 20.0
# Marks the environment of a request that must not wait for Django.
AT_ONCE = "gatehouse.at_once"
CLOSE = ("Connection", "close")
# POST to these hashes a password, or asks a directory, for anyone who comes.
SIGN_IN_PATHS = frozenset({"/sign-in", "/sign-up", "/api/v1/auth/token"})


class ClientStalled(Exception):
    """The client takes no more of the response. The library closes the connection."""


class Elsewhere(BaseException):
    """Django has to answer, in another thread. A BaseException, because it is no failure."""


def fast_path_only(django: Application) -> Application:
    """Wrap `django` for the fast path: raises Elsewhere in a thread for checks.

    Normalizes the Content-Type of other requests; see config.server.content_type.
    """

    def ask(environ: Environ, start: Start) -> Iterable[bytes]:
        if environ.pop(AT_ONCE, False):
            raise Elsewhere
        content_type = environ.get("CONTENT_TYPE")
        if content_type:
            environ["CONTENT_TYPE"] = readable(content_type)
        return django(environ, start)

    return ask


def no_answers(_scope: Mapping[str, Any], _environ: Environ) -> None:
    """Of a process that answers nothing by its body."""


class SignIns:
    """Holds back sign-ins while `most` of them have a thread, so that other requests find one.

    A sign-in has a thread for much longer than it computes: it waits for its turn to hash, or for
    a directory. The metrics count those that are held back among the waiting hashes.
    """

    def __init__(self, most: int) -> None:
        self._most, self._running = most, 0
        self._held_back: deque[tuple[Any, Environ, int]] = deque()
        self._lock = threading.Lock()

    def admits(self, request: Any, environ: Environ) -> bool:
        """Whether the request may have a thread now. If not, following() returns it later."""
        path = environ["PATH_INFO"].removeprefix(settings.PUBLIC_PATH)
        if path not in SIGN_IN_PATHS or environ["REQUEST_METHOD"] != "POST":
            return True
        environ[_SIGN_IN] = True
        with self._lock:
            if self._running < self._most:
                self._running += 1
                return True
            metrics.add(*metrics.HASHES_WAITING)
            self._held_back.append((request, environ, time.perf_counter_ns()))
        return False

    def following(self, environ: Environ) -> tuple[Any, Environ] | None:
        """The next one that may have a thread, now that the request of `environ` is answered."""
        if _SIGN_IN not in environ:
            return None
        with self._lock:
            if not self._held_back:
                self._running -= 1
                return None
            request, environ, began = self._held_back.popleft()
        metrics.add(*metrics.HASHES_WAITING, by=-1)
        metrics.add("hashes_waited", by=(time.perf_counter_ns() - began) // 1000)
        return request, environ


class Serving:
    """Answers the requests of one process from the cache, else by `application`.

    threads: the number of threads for Django. Sign-ins have half of them at most.
    """

    def __init__(
        self,
        application: Application,
        cached_response: CachedResponse,
        threads: int,
        loop: asyncio.AbstractEventLoop,
        known_answers: KnownAnswers = no_answers,
    ) -> None:
        self._application, self._cached_response, self._loop = application, cached_response, loop
        self._known_answers = known_answers
        self._waiting: SimpleQueue[tuple[Any, Environ]] = SimpleQueue()
        self._sign_ins = SignIns(max(1, threads // 2))
        self._held = 0
        # asyncio keeps no tasks alive by itself.
        self._readers: set[asyncio.Task[None]] = set()
        for number in range(threads):
            threading.Thread(target=self._work, name=f"pages-{number}", daemon=True).start()

    def take(self, request: Any) -> None:
        """Answer the request, or queue it. Never waits for a client."""
        try:
            scope = request.scope
            answer, known = self._cached_response(scope)
            if answer is not None:
                send = request.proto.send
                send(answer[0])
                send(answer[1])
                return
            environ = environ_of(scope)
            if known is not None:
                environ[CACHED_RESULT] = known
            if environ["REQUEST_METHOD"] in READING and self._answers_at_once(request, environ):
                return
            if has_body(environ):
                known_answer = self._known_answers(scope, environ)
                self._loop.call_soon_threadsafe(self._begin_reading, request, environ, known_answer)
            else:
                environ["wsgi.input"] = BytesIO()
                self._queue(request, environ)
        except Unreadable as error:
            _refuse(request, 400, "malformed", f"The header {error.name} came twice. Let the "
                    "proxy replace what a client sends, and send it once.")  # fmt: skip
        except Exception:
            logger.exception("a request could not be taken")
            request.done()

    def _answers_at_once(self, request: Any, environ: Environ) -> bool:
        environ[AT_ONCE] = True
        # The body of a check belongs to the app, so it is not read.
        environ["wsgi.input"] = BytesIO()
        try:
            self._answer(request, environ)
        except Elsewhere:
            return False
        return True

    def _queue(self, request: Any, environ: Environ) -> None:
        if self._sign_ins.admits(request, environ):
            self._waiting.put((request, environ))

    def _work(self) -> None:
        """One thread for Django."""
        while True:
            request, environ = self._waiting.get()
            try:
                self._answer(request, environ)
            except ClientStalled:
                logger.warning("a client took nothing of a response for %.0f s", PIECE_SECONDS)
            except Exception:
                logger.exception("a request could not be answered")
            finally:
                # Answers 500 unless something was answered.
                request.done()
                self._give_back(environ)
                following = self._sign_ins.following(environ)
                if following is not None:
                    self._waiting.put(following)
                del request, environ, following

    def _answer(self, request: Any, environ: Environ) -> None:
        said: list[Any] = []
        response = self._application(environ, lambda *of_answer: said.extend(of_answer))
        is_stream = getattr(response, "streaming", False)
        try:
            if is_stream and not _fits(said[1]):
                self._send_stream(request.proto.send, said, response)
                return
            body = response[0] if type(response) is list and response else b"".join(response)
        finally:
            getattr(response, "close", int)()
        _send(request.proto.send, said[0], said[1], body)

    def _send_stream(self, send: Start, said: list[Any], chunks: Iterable[bytes]) -> None:
        """Send piece by piece. Raises ClientStalled."""
        _send_start(send, said[0], said[1])
        for piece in _pieces(chunks):
            self._send_piece(send, {"type": "http.response.body", "body": piece, "more_body": True})
        self._send_piece(send, {"type": "http.response.body", "body": b"", "more_body": False})

    def _send_piece(self, send: Start, message: Message) -> None:
        """Wait until the connection has taken the message.

        The library sends messages side by side, so in any order, unless each is awaited; and it
        would hold all that a slow client has not read yet.
        """

        async def sent() -> None:
            await send(message)

        sending = asyncio.run_coroutine_threadsafe(sent(), self._loop)
        try:
            sending.result(PIECE_SECONDS)
        except TimeoutError:
            sending.cancel()
            raise ClientStalled from None

    def _begin_reading(self, request: Any, environ: Environ, known_answer: Known | None) -> None:
        """In the thread of the loop. What is too long by its own word is not read at all."""
        length = environ.get("CONTENT_LENGTH", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            _refuse(request, 413, "too_large", f"At most {MAX_BODY} bytes.")
            return
        reader = self._loop.create_task(self._read(request, environ, known_answer))
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        late = self._loop.call_later(BODY_SECONDS, self._give_up, request, reader)
        reader.add_done_callback(lambda _reader: late.cancel())

    async def _read(self, request: Any, environ: Environ, known_answer: Known | None) -> None:
        """Read the whole body, then answer or queue the request."""
        body = bytearray()
        is_over = False
        try:
            while not is_over:
                message = await request.proto.receive()
                if message["type"] != "http.request":
                    # The client has gone, or sent what is no body (RFC 9112, 7.1): one answer fits.
                    _refuse(request, 400, "malformed", "The body is cut off, or no valid chunks.")
                    return
                body += message.get("body", b"")
                self._held += len(message.get("body", b""))
                is_over = not message.get("more_body")
                if len(body) > MAX_BODY:
                    _refuse(request, 413, "too_large", f"At most {MAX_BODY} bytes.")
                    return
                if self._held > MAX_HELD:
                    _refuse(request, 503, "busy", "Too much is being sent. Try again later.")
                    return
            answer = known_answer(bytes(body)) if known_answer is not None else None
            if answer is not None:
                request.proto.send(answer[0])
                request.proto.send(answer[1])
                return
            environ["CONTENT_LENGTH"] = str(len(body))
            environ["wsgi.input"] = BytesIO(bytes(body))
            environ[_HELD] = len(body)
            self._queue(request, environ)
        finally:
            if _HELD not in environ:
                self._held -= len(body)

    def _give_up(self, request: Any, reader: "asyncio.Task[None]") -> None:
        """Answer 408. With the reader cancelled, the library closes the connection."""
        if not reader.done():
            _refuse(request, 408, "too_slow", f"The body was not here in {BODY_SECONDS:.0f} s.")
            reader.cancel()

    def _give_back(self, environ: Environ) -> None:
        held = environ.get(_HELD, 0)
        if held:
            self._loop.call_soon_threadsafe(self._let_go, held)

    def _let_go(self, held: int) -> None:
        self._held -= held


_HELD, _SIGN_IN = "gatehouse.held", "gatehouse.sign_in"


def _send_start(send: Start, status: str, headers: list[tuple[str, str]]) -> None:
    send({
        "type": "http.response.start", "status": int(status[:3]), "headers": encoded(headers)
    })  # fmt: skip


def _send(send: Start, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
    _send_start(send, status, headers)
    send({"type": "http.response.body", "body": body})


def _fits(headers: list[tuple[str, str]]) -> bool:
    """Whether the body has a known length that may be sent at once, as static files have."""
    length = next((value for name, value in headers if name.lower() == "content-length"), "")
    return length.isdecimal() and int(length) <= MAX_AT_ONCE


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of PIECE bytes and more, except for the last one."""
    piece = bytearray()
    for chunk in chunks:
        piece += chunk
        if len(piece) >= PIECE:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _refuse(request: Any, status: int, code: str, detail: str) -> None:
    """Answer with a problem document (RFC 9457), without Django."""
    title = HTTPStatus(status).phrase
    said = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
    body = json.dumps(said).encode()
    headers = [
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        *bare_headers(),
    ]
    # A connection of HTTP/2 stays open, because it carries other requests.
    if request.scope["http_version"] != "2":
        headers.append(CLOSE)
    _send(request.proto.send, str(status), headers, body)
    request.done()
