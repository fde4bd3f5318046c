"""Calls an ASGI app as a server does, without one."""

import asyncio
import json
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any


def ask(
    app: Any, headers: list[tuple[str, str]], method: str = "GET", peer: str = "192.0.2.1"
) -> Answer:
    """The answer to a request for `/`; the body as JSON."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    _run(app(scope_of(headers, method, peer), receive, send))
    start = sent[0]
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        json.loads(body) if body else None,
    )


def open_websocket(app: Any, headers: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """What the app sends to a client that opens a websocket."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {**scope_of(headers, "GET", "192.0.2.1"), "type": "websocket"}
    del scope["method"]
    _run(app(scope, receive, send))
    return sent


def scope_of(headers: list[tuple[str, str]], method: str, peer: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        "client": (peer, 1234),
        "server": ("app.example.com", 80),
    }


def _run(work: Coroutine[Any, Any, None]) -> None:
    """In a thread of its own: Playwright's loop may run in this one."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, work).result()
