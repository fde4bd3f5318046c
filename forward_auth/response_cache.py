"""Answers that Django gave a moment ago, given again to whoever would get the same.

Only such answers are kept as depend on nothing but their key, so that their bytes and headers are
Django's own. The id of the request is made anew, and so is the reference of a refusal.

Django judges anew, and may know more: that a key has been used too often, or what has changed in
between. So a refusal is kept only where it says what it is kept for.
"""

import json
import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from django.conf import settings

from accounts.middleware import REQUEST_ID
from forward_auth.cookies import cookie_value
from forward_auth.ttl_cache import Memo

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Iterable[bytes]]
REFERENCE = "X-Gatehouse-Reference"
IDENTITY = "X-Request-ID"
FOREVER = float("inf")
LIFE_SECONDS = 1.0
MOST = 256
LONGEST = 200
# Who sends one of these may get another answer.
CONDITIONS = ("HTTP_ORIGIN", "HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH", "HTTP_IF_MODIFIED_SINCE",
              "HTTP_IF_UNMODIFIED_SINCE", "HTTP_RANGE")  # fmt: skip
_EMPTIED = re.compile(r'[^=]+="";')


class Answer(NamedTuple):
    """pieces: the body, cut where the reference stands. headers: without id and reference."""

    status: str
    headers: Headers
    pieces: list[bytes]


class Refusal(NamedTuple):
    """What a refusal has to say. reference: gives its own; called only when the rest is known."""

    status: int
    code: str
    reference: Callable[[], str]

    @property
    def name(self) -> str:
        return f"{self.status} {self.code}"


class Learned:
    """The answers that this process knows; `django` gives those that it does not."""

    def __init__(self, django: Application) -> None:
        self.django = django
        self._answers: Memo[Answer] = Memo(most=MOST, life=LIFE_SECONDS)

    def answer(
        self, environ: Environ, start: Start, refusal: Refusal | None = None, about: str = ""
    ) -> Iterable[bytes]:
        """The answer of the path, of which `about` says all that the header lines do not.

        refusal: what is answered when it is one.
        """
        key = _key(about if refusal is None else f"{refusal.name} {about}", environ)
        known = self._answers.get(key) if key else None
        if known is None:
            return self._learn(key, environ, start, refusal)
        headers = [*known.headers, (IDENTITY, _request_id(environ))]
        body = known.pieces[0]
        if refusal is not None:
            name = refusal.reference()
            headers.append((REFERENCE, name))
            body = name.encode().join(known.pieces)
        start(known.status, headers)
        return [body]

    def _learn(
        self,
        key: tuple[str, ...] | None,
        environ: Environ,
        start: Start,
        refusal: Refusal | None,
    ) -> list[bytes]:
        heard: list[Any] = []
        response = self.django(environ, lambda *said: heard.extend(said))
        try:
            body = b"".join(response)
        finally:
            getattr(response, "close", int)()
        status, headers = heard[:2]
        learned = _answer(status, headers, body, refusal)
        if key and learned:
            self._answers.put(key, learned, FOREVER)
        start(status, headers)
        return [body]


def _key(about: str, environ: Environ) -> tuple[str, ...] | None:
    """All that the answer depends on; None when that is too much."""
    if environ.get("QUERY_STRING") or environ["REQUEST_METHOD"] != "GET":
        return None
    if any(name in environ for name in CONDITIONS):
        return None
    cookies = environ.get("HTTP_COOKIE", "")
    session = cookie_value(cookies, settings.SESSION_COOKIE_NAME)
    if not session and settings.SESSION_COOKIE_NAME in cookies:
        return None  # an empty one, or a longer name: Django answers them differently
    key = (
        about,
        environ["PATH_INFO"],
        environ.get("HTTP_HOST", ""),
        environ.get("HTTP_X_FORWARDED_PROTO", ""),
        environ.get("HTTP_ACCEPT_LANGUAGE", ""),
        cookie_value(cookies, settings.LANGUAGE_COOKIE_NAME),
        "session" if session else "",
    )
    return None if sum(map(len, key)) > LONGEST + len(about) else key


def _answer(status: str, headers: Headers, body: bytes, refusal: Refusal | None) -> Answer | None:
    """What may be kept of an answer; None when it says something to one client alone.

    And when it says something else than it was asked for.
    """
    said = dict(headers)
    if any(name == "Set-Cookie" and not _EMPTIED.match(value) for name, value in headers):
        return None
    kept = [(name, value) for name, value in headers if name not in (IDENTITY, REFERENCE)]
    reference = said.get(REFERENCE, "").encode()
    if refusal is None:
        is_plain = status.startswith("200 ") and REFERENCE not in said
        return Answer(status, kept, [body]) if is_plain else None
    if not reference or _said(status, body) != refusal.name:
        return None
    return Answer(status, kept, body.split(reference))


def _said(status: str, body: bytes) -> str:
    """Status and code of a refusal as Django wrote it."""
    try:
        document = json.loads(body)
    except ValueError:
        return ""
    code = document.get("code") if isinstance(document, dict) else None
    return f"{status.partition(' ')[0]} {code}"


def _request_id(environ: Environ) -> str:
    """As accounts.middleware has it."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
