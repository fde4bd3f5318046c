"""What apps and browsers do at an OpenID provider."""

import base64
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.load import Ask, Journey, Reply
from benchmarks.oidc_peer.data import CALLBACK, VERIFIER, query_of
from benchmarks.plans import PlanBase

CODE = re.compile(rb"[?&]code=([^&\s]+)")


@dataclass(frozen=True, slots=True)
class Side:
    """One provider: where it listens, its paths, and what its app and browsers know."""

    port: int
    authorize_path: str
    token_path: str
    client_id: str
    secret: str = field(repr=False)
    cookies: list[str] = field(repr=False)

    def authorize(self, number: int) -> Ask:
        """By a browser in which the user is signed in and has allowed the app."""
        cookies = self.cookies[number % len(self.cookies)]
        path = f"{self.authorize_path}?{query_of(self.client_id)}"
        return Ask("authorize", 303, _message("GET", path, Cookie=cookies))

    def redeem(self, code: str) -> Ask:
        """By the app, with the secret as Basic, and the verifier."""
        return self._token(
            "token",
            grant_type="authorization_code",
            code=code,
            redirect_uri=CALLBACK,
            code_verifier=VERIFIER,
        )

    def refresh(self, token: str) -> Ask:
        return self._token("refresh", grant_type="refresh_token", refresh_token=token)

    def _token(self, label: str, **fields: str) -> Ask:
        pair = base64.b64encode(f"{self.client_id}:{self.secret}".encode()).decode()
        body = urlencode(fields).encode()
        return Ask(
            label, 200, _message("POST", self.token_path, body, Authorization=f"Basic {pair}")
        )


def code_in(reply: Reply | str | None) -> str:
    """The code of an answer of the authorization endpoint. Raises RuntimeError for an error."""
    head = reply.head if isinstance(reply, Reply) else b""
    found = CODE.search(head)
    if found is None:
        raise RuntimeError(f"no code: {head[:300]!r}")
    return found[1].decode()


@dataclass(frozen=True, slots=True)
class Authorize(PlanBase):
    """Browsers ask for codes. folder: each load process writes its codes there. most: 0 for any."""

    side: Side
    folder: Path
    most: int = 0

    def journey(self, number: int) -> Journey | None:
        return self._authorize(number) if not self.most or number < self.most else None

    def _authorize(self, number: int) -> Journey:
        reply = yield self.side.authorize(number)
        with (self.folder / f"{os.getpid()}.codes").open("a") as file:
            file.write(f"{code_in(reply)}\n")


@dataclass(frozen=True, slots=True)
class Redeem(PlanBase):
    """Apps redeem these codes, each once, until there are no more."""

    side: Side
    codes: list[str] = field(repr=False)

    def journey(self, number: int) -> Journey | None:
        return self._redeem(number) if number < len(self.codes) else None

    def _redeem(self, number: int) -> Journey:
        yield self.side.redeem(self.codes[number])


@dataclass(frozen=True, slots=True)
class SignInToApp(PlanBase):
    """A code, and what it is worth."""

    side: Side

    def journey(self, number: int) -> Journey:
        reply = yield self.side.authorize(number)
        yield self.side.redeem(code_in(reply))


@dataclass(frozen=True, slots=True)
class RefreshTokens(PlanBase):
    """Each browser's app refreshes its own sign-in, with the newest token that it was given."""

    side: Side
    tokens: dict[int, str] = field(default_factory=dict, repr=False)
    clients: int = 8

    def journey(self, number: int) -> Journey:
        place = number % self.clients
        if place not in self.tokens:
            reply = yield self.side.authorize(number)
            given = yield self.side.redeem(code_in(reply))
        else:
            given = yield self.side.refresh(self.tokens[place])
        self.tokens[place] = json.loads(given.body)["refresh_token"]  # type: ignore[union-attr]


def _message(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body
