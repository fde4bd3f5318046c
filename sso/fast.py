"""The WSGI function before Django: exact paths alone, everything else goes on to Django.

What may go wrong here becomes 503 with Retry-After, and never a 204 (fail closed).
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from sso.checking import Checker
from sso.counting import failed_short, passed_short
from sso.passes import AskDjango

logger = logging.getLogger(__name__)
Environ = dict[str, Any]
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Iterable[bytes]]

CHECK = "/auth/check"
NO_STORE = ("Cache-Control", "no-store")
EMPTY = ("Content-Length", "0")
LINES = {204: "204 No Content", 401: "401 Unauthorized", 403: "403 Forbidden"}


class FastPath:
    """Answers /auth/check by itself where it can; `django` answers the rest."""

    def __init__(self, django: Application, checker: Checker) -> None:
        self.django, self.checker = django, checker

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] != CHECK or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return self.django(environ, start)
        try:
            checked = self.checker.check(environ)
        except AskDjango:
            return self.django(environ, start)
        except Exception:
            failed_short()
            logger.exception("a check failed")
            start("503 Service Unavailable", [NO_STORE, ("Retry-After", "1"), EMPTY])
            return []
        if checked.verdict.status != 204:
            return self.django(environ, start)
        passed_short()
        start(LINES[204], [NO_STORE, *checked.headers])
        return []
