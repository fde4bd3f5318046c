"""The WSGI function before Django: exact paths alone, everything else goes on to Django.

What may go wrong here becomes 503 with Retry-After, and never a 204 (fail closed). A connection to
the database that was cut is made anew once, so that a failover costs no thread an answer.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings

from accounts import tally
from accounts.bareheaders import bare_headers
from sso.answers import from_wsgi, is_browser
from sso.checking import Checked, Checker, Message, TooLong
from sso.connecting import drop, drop_broken
from sso.counting import SHORT, failed_short, passed_short, too_long_short
from sso.learned import Application, Environ, Learned, Refusal, Start
from sso.lines import LONGEST_LINE, Scope
from sso.passes import AskDjango
from sso.services.denials import note_denial
from sso.services.tokens import token_headers, wants_token

logger = logging.getLogger(__name__)
Act = Callable[[Environ, Start], Iterable[bytes]]

CHECK, FORWARD = "/auth/check", "/auth/forward"
ASKED = frozenset({CHECK, FORWARD})
KEY_SET, LIVE = "/.well-known/jwks.json", "/health/live"
READING = frozenset({"GET", "HEAD"})
NO_STORE = ("Cache-Control", "no-store")
# Of the environment: a verdict that is remembered. No header gets a key in lower case.
KNOWN = "gatehouse.known"
NOTHING = None, None
RETRY = ("Retry-After", "1")
EMPTY = ("Content-Length", "0")
PASSED, UNAVAILABLE = "204 No Content", "503 Service Unavailable"
# RFC 6585, section 5.
TOO_LONG = "431 Request Header Fields Too Large"
TOO_LONG_BODY = (
    b'{"type": "about:blank", "title": "Request header fields too large", "status": 431,'
    b' "code": "headers_too_long", "detail": "A line of the header has more than 16384 bytes.'
    b' Cookies of many apps on one domain are the usual cause: delete some."}\n'
)


class FastPath:
    """Answers checks, and what monitoring and backends ask all the time; `django` the rest."""

    def __init__(self, django: Application, checker: Checker) -> None:
        self.django, self.checker = django, checker
        self.learned = Learned(self._by_django)
        self._acts: dict[str, Act] = {
            CHECK: self._check,
            FORWARD: self._forward,
            KEY_SET: self._key_set,
            LIVE: self._public,
        }
        # As raw as they come; whoever spells them in another way goes the way of all requests.
        self._paths = frozenset(f"{settings.PUBLIC_PATH}{path}".encode() for path in ASKED)

    def remembered(self, scope: Scope) -> tuple[Message | None, Checked | None]:
        """What was said of the same a moment ago, from the request as it came.

        The message is the whole answer, for a 204 has no body. Without it the request takes the
        whole way, where the verdict saves asking again (KNOWN).
        """
        if scope["raw_path"] not in self._paths or scope["method"] not in READING:
            return NOTHING
        try:
            checked = self.checker.remembered(scope)
        except Exception:  # the whole way meets it as well, and tells of it
            return NOTHING
        if checked is None or checked.verdict.status != 204 or b"token" in scope["query_string"]:
            return None, checked
        passed_short()
        if checked.message is None:
            checked.message = _message(checked)
        return checked.message, checked

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        act = self._acts.get(environ["PATH_INFO"])
        if act is None or environ["REQUEST_METHOD"] not in READING:
            if _has_long_lines(environ):
                return _too_long(start)
            return self.django(environ, start)
        return act(environ, start)

    def _check(self, environ: Environ, start: Start, *, is_last: bool = False) -> Iterable[bytes]:
        try:
            checked = environ.pop(KNOWN, None) or self.checker.check(environ)
            if checked.verdict.status == 204:
                return self._pass(checked, environ, start)
        except AskDjango:
            return self._by_django(environ, start)
        except TooLong:
            return _too_long(start)
        except Exception:
            if not is_last and drop_broken():
                return self._check(environ, start, is_last=True)
            logger.exception("a check failed")
            return _fail(start)
        return self._refuse(checked, environ, start)

    def _forward(self, environ: Environ, start: Start, *, is_last: bool = False) -> Iterable[bytes]:
        """Refusals here are pages and redirects: Django's work."""
        try:
            checked = environ.pop(KNOWN, None) or self.checker.check(environ)
            if checked.verdict.status == 204:
                return self._pass(checked, environ, start)
        except AskDjango:
            pass
        except TooLong:
            return _too_long(start)
        except Exception:
            if not is_last and drop_broken():
                return self._forward(environ, start, is_last=True)
            logger.exception("a check failed")
            return _fail(start)
        return self._by_django(environ, start)

    def _pass(self, checked: Checked, environ: Environ, start: Start) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING", "")
        is_wanted = query and wants_token(query)
        more = token_headers(checked, query, self.checker.tokens) if is_wanted else []
        passed_short()
        start(PASSED, [NO_STORE, *checked.headers, *more])
        return []

    def _refuse(self, checked: Checked, environ: Environ, start: Start) -> Iterable[bytes]:
        status, code = checked.verdict.status, checked.verdict.code
        _name_us(environ)

        def reference() -> str:
            tally.add("checks", str(status), SHORT)
            return note_denial(checked)

        # Browsers and programs are challenged differently.
        about = "browser" if is_browser(environ) else "program"
        return self.learned.answer(environ, start, Refusal(status, code, reference), about)

    def _public(self, environ: Environ, start: Start) -> Iterable[bytes]:
        return self.learned.answer(environ, start)

    def _key_set(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Remembered in one epoch alone: backends keep a key that is dead here for minutes."""
        try:
            epoch = self.checker.follow_keys()
        except Exception:
            drop_broken()
            return self._by_django(environ, start)
        return self.learned.answer(environ, start, about=f"keys {epoch}")

    def _by_django(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Django's answer; its failure is one that a proxy may try again a moment later."""
        _name_us(environ)

        def begin(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            # The server writes text as UTF-8, where WSGI would have it write latin-1.
            headers = [(name, from_wsgi(value)) for name, value in headers]
            if status.startswith("500 "):
                return start(UNAVAILABLE, [*headers, RETRY], *more)
            return start(status, headers, *more)

        return self.django(environ, begin)


def _message(checked: Checked) -> Message:
    """A 204 as _pass() has it, in the words of ASGI."""
    headers = [(name.encode(), value.encode()) for name, value in (NO_STORE, *checked.headers)]
    return {"type": "http.response.start", "status": 204, "headers": headers}


def _name_us(environ: Environ) -> None:
    """Proxies send the app's host or none of ours; what they ask about stands elsewhere."""
    if environ["PATH_INFO"] in ASKED:
        environ["HTTP_HOST"] = settings.PUBLIC_HOST


def _has_long_lines(environ: Environ) -> bool:
    return any(
        name.startswith("HTTP_") and len(value) > LONGEST_LINE for name, value in environ.items()
    )


def _too_long(start: Start) -> Iterable[bytes]:
    too_long_short()
    length = ("Content-Length", str(len(TOO_LONG_BODY)))
    kind = ("Content-Type", "application/problem+json")
    start(TOO_LONG, [NO_STORE, kind, length, *bare_headers()])
    return [TOO_LONG_BODY]


def _fail(start: Start) -> Iterable[bytes]:
    """Nobody can say: the next request begins with a new connection."""
    failed_short()
    drop()
    start(UNAVAILABLE, [NO_STORE, RETRY, EMPTY, *bare_headers()])
    return []
