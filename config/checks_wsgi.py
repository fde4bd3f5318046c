"""The WSGI application of a process group of its own: checks of proxies, and nothing else.

See `manage.py serve --checks-only`. Beside pages and hashes of passwords a check waits for its
turn; here nothing takes long, and the system can give these processes the processor first.
"""

import os
import threading
import time
from collections.abc import Iterable

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django = get_wsgi_application()

# These need the apps to be loaded.
from django.db import close_old_connections  # noqa: E402

from config.serving import at_once_or_elsewhere  # noqa: E402
from config.subpath import mount  # noqa: E402
from config.worker import NOTING, POLL_SECONDS, run_jobs_once  # noqa: E402
from sso.checking import CHECKER  # noqa: E402
from sso.fast import ASKED, KEY_SET, LIVE, FastPath  # noqa: E402
from sso.learned import Environ, Start  # noqa: E402
from sso.listening import start_listener  # noqa: E402

ANSWERED = ASKED | {KEY_SET, LIVE, "/health/ready", "/metrics"}
ELSEWHERE = b"This address answers checks of proxies alone. Pages are at PUBLIC_URL.\n"


def _answer(environ: Environ, start: Start) -> Iterable[bytes]:
    """What belongs to checks and monitoring; 404 for everything else."""
    if environ["PATH_INFO"] in ANSWERED:
        return django(environ, start)
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(ELSEWHERE)))]
    start("404 Not Found", headers)
    return [ELSEWHERE]


# Calling a method takes less than calling an object.
_fast = FastPath(at_once_or_elsewhere(_answer), CHECKER)
application, remembered = mount(_fast.__call__), _fast.remembered


def _note() -> None:
    """Write down what checks have seen; in other processes the worker does it."""
    while True:
        time.sleep(POLL_SECONDS)
        close_old_connections()
        run_jobs_once(NOTING)


start_listener()
threading.Thread(target=_note, name="noting", daemon=True).start()
