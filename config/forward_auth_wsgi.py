"""The WSGI application of `manage.py serve --checks-only`: checks of proxies and nothing else.

Beside pages and password hashing a check has to wait. Nothing takes long in these processes, and
the system can give them a higher priority.
"""

import os
import threading
import time
from collections.abc import Iterable

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.utils.module_loading import import_string

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django = get_wsgi_application()

# These need the apps to be loaded.
from django.db import close_old_connections  # noqa: E402

from config.pages import LoadingPages  # noqa: E402
from config.server.dispatch import fast_path_only  # noqa: E402
from config.server.subpath import mount  # noqa: E402
from config.worker import NOTE_JOBS, POLL_SECONDS, run_jobs_once  # noqa: E402
from core.invalidation.postgresql import start_listener  # noqa: E402
from forward_auth.checker import CHECKER  # noqa: E402
from forward_auth.wsgi import CHECK_PATHS, KEY_SET, LIVE, Environ, FastPath, Start  # noqa: E402

ANSWERED = CHECK_PATHS | {KEY_SET, LIVE, "/health/ready", "/metrics"}
ELSEWHERE = b"This address answers checks of proxies alone. Pages are at PUBLIC_URL.\n"


_pages = LoadingPages(django, {LIVE})


def _answer(environ: Environ, start: Start) -> Iterable[bytes]:
    """Answer checks and monitoring; 404 for everything else."""
    if environ["PATH_INFO"] in ANSWERED:
        return _pages(environ, start)
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(ELSEWHERE)))]
    start("404 Not Found", headers)
    return [ELSEWHERE]


# Calling a method takes less than calling an object.
_fast = FastPath(fast_path_only(_answer), CHECKER)
application, cached_response = mount(_fast.__call__), _fast.cached_response
if settings.TRACING is not None:
    _tracer = import_string("config.tracing.requests.start")(settings.TRACING)
    application = _tracer.application(application)
    cached_response = _tracer.cached_response(cached_response)


def _note() -> None:
    """Write what checks have noted. In other processes the worker does it."""
    while True:
        time.sleep(POLL_SECONDS)
        close_old_connections()
        run_jobs_once(NOTE_JOBS)


start_listener()
# Denials are pages, or name one.
_pages.load(then=int)
threading.Thread(target=_note, name="noting", daemon=True).start()
