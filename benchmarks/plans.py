"""What the browsers do: the plans of the measurements."""

import hashlib
import importlib
import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from benchmarks.load import Ask, AwaitLink, Journey
from benchmarks.servers import PASSWORD, email_of

TOKEN = re.compile(r"/magic-link/([\w-]{20,})")
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def browser_cookies(number: int) -> str:
    """The cookies that a browser of its own would have after it has looked at a page."""
    name = hashlib.sha256(f"browser {number}".encode()).hexdigest()
    return f"gatehouse_csrf={name[:32]}; gatehouse_browser={name}"


def get(label: str, path: str, expected: int, cookies: str = "") -> Ask:
    return Ask(label, expected, _message("GET", path, cookies))


def post(label: str, path: str, expected: int, cookies: str, fields: dict[str, str]) -> Ask:
    """A form with the token of the cookie."""
    token = cookies.partition("gatehouse_csrf=")[2][:32]
    body = urlencode({"csrfmiddlewaretoken": token, **fields}).encode()
    return Ask(label, expected, _message("POST", path, cookies, body))


def _message(method: str, path: str, cookies: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"User-Agent: {AGENT}"]
    lines += [f"Cookie: {cookies}"] if cookies else []
    if body:
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class PlanBase:
    """A plan that needs no preparation and waits for no link."""

    def prepare(self) -> None:
        """Nothing to prepare."""

    def links(self, _numbers: Collection[int]) -> dict[int, str]:
        return {}


@dataclass(frozen=True, slots=True)
class Hello(PlanBase):
    """GET one path for ever."""

    path: str = "/"

    def journey(self, _number: int) -> Journey:
        yield get("hello", self.path, 200)


@dataclass(frozen=True, slots=True)
class AskForLinks(PlanBase):
    """Every user asks for one link."""

    users: int

    def journey(self, number: int) -> Journey | None:
        return _ask_for_link(number) if number < self.users else None


def _ask_for_link(number: int) -> Journey:
    yield post("request", "/magic-link", 200, browser_cookies(number), {"email": email_of(number)})


@dataclass(frozen=True, slots=True)
class Redeem(PlanBase):
    """Every user opens their link, in the browser that asked for it. tokens: (user, token)."""

    tokens: list[tuple[int, str]] = field(repr=False)

    def journey(self, number: int) -> Journey | None:
        return _redeem(*self.tokens[number]) if number < len(self.tokens) else None


def _redeem(number: int, token: str) -> Journey:
    yield get("redemption", f"/magic-link/{token}", 302, browser_cookies(number))


@dataclass(slots=True)
class AskAndRedeem:
    """The whole way: ask, wait for the link, open it.

    environment: that of the measured server; the links are read from its outbox and unsealed
    with its key, as if a mail service had delivered them at once.
    """

    environment: dict[str, str] = field(repr=False)
    users: int
    _outbox: Any = None

    def prepare(self) -> None:
        os.environ.update(self.environment)
        self._outbox = importlib.import_module("benchmarks.outbox")

    def links(self, numbers: Collection[int]) -> dict[int, str]:
        found: dict[int, str] = self._outbox.tokens_of(numbers)
        return found

    def journey(self, number: int) -> Journey | None:
        return self._ask_and_redeem(number) if number < self.users else None

    def _ask_and_redeem(self, number: int) -> Journey:
        yield from _ask_for_link(number)
        token = yield AwaitLink(number)
        yield from _redeem(number, str(token))


@dataclass(frozen=True, slots=True)
class SignIn(PlanBase):
    """Every user signs in with a password, in a browser of their own."""

    users: int

    def journey(self, number: int) -> Journey:
        fields = {"login": email_of(number % self.users), "password": PASSWORD}
        yield post("sign-in", "/sign-in", 302, browser_cookies(number), fields)
