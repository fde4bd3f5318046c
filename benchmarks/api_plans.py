"""What programs do: the plans of the API's measurements."""

import json
from dataclasses import dataclass, field

from benchmarks.load import Ask, Journey
from benchmarks.plans import PlanBase

PAGE = "/api/v1/me"
REFRESH = "/api/v1/auth/token/refresh"
FROM_SESSION = "/api/v1/auth/token/session"


def message(
    method: str, path: str, headers: dict[str, str], content: dict[str, str] | None = None
) -> bytes:
    """A request as programs send it."""
    body = b"" if content is None else json.dumps(content).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "User-Agent: benchmark"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if content is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True, slots=True)
class CallApi(PlanBase):
    """GET /api/v1/me with one header of credentials for ever."""

    headers: dict[str, str] = field(repr=False)

    def journey(self, _number: int) -> Journey:
        yield Ask("call", 200, message("GET", PAGE, self.headers))


@dataclass(slots=True)
class Refresh(PlanBase):
    """Each browser refreshes its own family again and again."""

    tokens: list[str] = field(repr=False)
    _newest: dict[int, str] = field(default_factory=dict, repr=False)

    def journey(self, number: int) -> Journey:
        place = number % len(self.tokens)
        token = self._newest.get(place, self.tokens[place])
        reply = yield Ask("refresh", 200, message("POST", REFRESH, {}, {"refresh": token}))
        self._newest[place] = json.loads(reply.body)["refresh"]  # type: ignore[union-attr]


@dataclass(frozen=True, slots=True)
class TokensOfSession(PlanBase):
    """Tokens for a signed-in browser, again and again."""

    cookies: str = field(repr=False)
    csrf: str = field(repr=False)

    def journey(self, _number: int) -> Journey:
        headers = {"Cookie": self.cookies, "X-CSRF-Token": self.csrf}
        yield Ask("tokens", 200, message("POST", FROM_SESSION, headers, {}))
