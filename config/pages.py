"""The modules of the pages, which config.urls names and does not import.

They are most of what a server imports, and no check needs them. So a server process takes requests
at once, and loads them in a thread of its own.
"""

import gc
import logging
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterable
from typing import Any

from django.urls import URLResolver, get_resolver

logger = logging.getLogger(__name__)
Environ = dict[str, Any]
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Iterable[bytes]]


def load_pages(resolver: URLResolver | None = None) -> None:
    """Import every view, form and admin class. Does nothing the second time."""
    for each in (resolver or get_resolver()).url_patterns:
        if isinstance(each, URLResolver):
            load_pages(each)


class LoadingPages:
    """A WSGI function in front of `django`: requests wait until load() is done.

    So /health/ready answers when pages can be served, and two threads never import at once, where
    one could meet a module that is half loaded. at_once: the paths that need no page. front: puts
    something that needs the pages in front of `django`, too.
    """

    def __init__(
        self,
        django: Application,
        at_once: Collection[str],
        front: Callable[[Application], Application] | None = None,
    ) -> None:
        self._django, self._at_once, self._front = django, at_once, front
        self._is_loaded = threading.Event()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] not in self._at_once:
            self._is_loaded.wait()
        return self._django(environ, start)

    def load(self, then: Callable[[], object]) -> None:
        """Begin to load the pages in another thread, which calls `then` at the end."""
        threading.Thread(target=self._load, args=[then], name="loading", daemon=True).start()

    def _load(self, then: Callable[[], object]) -> None:
        try:
            load_pages()
            if self._front is not None:
                self._django = self._front(self._django)
            then()
        except Exception:
            logger.critical("the pages cannot be loaded, so this process ends", exc_info=True)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        # They stay, so looking for garbage among them finds nothing.
        gc.freeze()
        self._is_loaded.set()
