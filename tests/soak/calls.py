"""Asking the nodes as browsers and programs do, and telling what became of it."""

import http.client
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from devtools.servers.client import Answer, HTTPClient
from tests.soak.journal import DONE, REFUSED, UNKNOWN, Act, Journal

CSRF = "c" * 32
TIMEOUT_SECONDS = 20.0


class Unsure(Exception):
    """The connection broke or the server failed: the act may have happened."""


class AccessDenied(Exception):
    """The server said no."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(f"{status} {text[:200]}")


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """A request. fields: a form; body: JSON; neither: nothing is sent."""

    method: str
    path: str
    headers: dict[str, str] | None = None
    body: Any = None
    fields: dict[str, str] | None = None
    cookies: dict[str, str] | None = None


class Caller:
    """One thread's connections, one to each node."""

    def __init__(self, urls: Sequence[str], journal: Journal, seed: int) -> None:
        self.journal = journal
        self.random = random.Random(seed)
        # When the present story began; what is refused in it counts if all was calm since then.
        self.story_began = time.monotonic()
        self._clients = [HTTPClient(url) for url in urls]
        for client in self._clients:
            client.connection.timeout = TIMEOUT_SECONDS

    def pick(self) -> int:
        """One of the nodes."""
        return self.random.randrange(len(self._clients))

    def ask(self, planned: PlannedRequest, node: int) -> tuple[Answer, dict[str, str]]:
        """The answer and the cookies after it. Raises Unsure when no whole answer arrived."""
        client = self._clients[node]
        client.cookies = dict(planned.cookies or {})
        try:
            return self._send(client, planned), client.cookies
        except (OSError, http.client.HTTPException) as error:
            client.close()
            raise Unsure(repr(error)) from None

    def act(
        self,
        kind: str,
        planned: PlannedRequest,
        *,
        person: str,
        audit: str = "",
        is_done: Callable[[Answer], bool] = lambda answer: answer.status < 400,
    ) -> tuple[Answer, dict[str, str]]:
        """Ask a node for a change and note what became of it. Raises Unsure, AccessDenied."""
        node = self.pick()
        try:
            answer, cookies = self.ask(planned, node)
        except Unsure:
            self.note(kind, UNKNOWN, 0, person=person, audit=audit, node=node)
            raise
        outcome = UNKNOWN if answer.status >= 500 else DONE if is_done(answer) else REFUSED
        self.note(kind, outcome, answer.status, person=person, audit=audit, node=node)
        if outcome == UNKNOWN:
            raise Unsure(f"{kind}: {answer.status}")
        if outcome == REFUSED:
            raise AccessDenied(answer.status, answer.text)
        return answer, cookies

    def note(
        self, kind: str, outcome: str, status: int, *, person: str, audit: str = "", node: int = 0
    ) -> None:
        """Write an act down; in calm weather nothing that is right may fail."""
        act = Act(kind, outcome, status, person, audit, node, time.monotonic())
        self.journal.note(act)
        if outcome != DONE and self.journal.was_calm_since(self.story_began):
            self.journal.break_promise(f"in calm weather: {kind} was {outcome} with {status}")

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def _send(self, client: HTTPClient, planned: PlannedRequest) -> Answer:
        if planned.fields is not None:
            client.cookies.setdefault("gatehouse_csrf", CSRF)
            return client.post(planned.path, planned.fields, planned.headers)
        headers = {"Content-Type": "application/json", **(planned.headers or {})}
        if planned.cookies:
            pairs = (f"{name}={value}" for name, value in planned.cookies.items())
            headers["Cookie"] = "; ".join(pairs)
        body = None if planned.body is None else json.dumps(planned.body)
        client.connection.request(planned.method, planned.path, body, headers)
        return client._read(client.connection.getresponse())


def has_session(answer: Answer) -> bool:
    """Did this answer sign somebody in?"""
    begin = "gatehouse_session="
    given = [line for line in answer.set_cookies if line.startswith(begin)]
    return any(not line.startswith((f'{begin}""', f"{begin};")) for line in given)
