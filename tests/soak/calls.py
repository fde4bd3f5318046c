"""Requests to the nodes, as browsers and programs send them, and their outcomes."""

import http.client
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from devtools.servers.client import Answer, HTTPClient
from tests.soak.journal import DONE, REFUSED, UNKNOWN, Journal, RecordedAction

CSRF = "c" * 32
TIMEOUT_SECONDS = 20.0


class Unsure(Exception):
    """The connection broke or the server failed, so the action may have happened."""


class AccessDenied(Exception):
    """The server refused the request."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(f"{status} {text[:200]}")


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """A request. fields: sent as a form. body: sent as JSON. Neither: a request without body."""

    method: str
    path: str
    headers: dict[str, str] | None = None
    body: Any = None
    fields: dict[str, str] | None = None
    cookies: dict[str, str] | None = None


class Caller:
    """The connections of one thread, one to each node."""

    def __init__(self, urls: Sequence[str], journal: Journal, seed: int) -> None:
        self.journal = journal
        self.random = random.Random(seed)
        # When the current story began. Refusals are failures if no fault has happened since then.
        self.story_began = time.monotonic()
        self._clients = [HTTPClient(url) for url in urls]
        for client in self._clients:
            client.connection.timeout = TIMEOUT_SECONDS

    def pick(self) -> int:
        """Choose a node."""
        return self.random.randrange(len(self._clients))

    def ask(self, planned: PlannedRequest, node: int) -> tuple[Answer, dict[str, str]]:
        """The response and the cookies after it. Raises Unsure if it did not arrive completely."""
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
        """Ask a node for a change and record the outcome. Raises Unsure, AccessDenied."""
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
        """Record an action. Without a fault, a failed one is a broken promise."""
        act = RecordedAction(kind, outcome, status, person, audit, node, time.monotonic())
        self.journal.note(act)
        if outcome != DONE and self.journal.was_calm_since(self.story_began):
            self.journal.break_promise(f"without a fault: {kind} was {outcome} with {status}")

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
    """Did this response start a session?"""
    begin = "gatehouse_session="
    given = [line for line in answer.set_cookies if line.startswith(begin)]
    return any(not line.startswith((f'{begin}""', f"{begin};")) for line in given)
