"""The server processes: granian in WSGI mode, which measured ten times faster than ASGI here."""

import gc
import os
import signal

from django.conf import settings
from django.db import connections
from django.urls import get_resolver
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from accounts.tally import TALLY
from config.moving.locks import serving

CONNECTIONS = 1024
# A client that stops in the middle of its request holds up a stop no longer than that; operators
# are told to give a node 30 seconds.
STOP_SECONDS = 20
ENDING = (signal.SIGTERM, signal.SIGINT)

WHOLE, CHECKS = "config.wsgi:application", "config.checks_wsgi:application"


def run_server(application: str = WHOLE) -> None:
    """Serve WHOLE or CHECKS until told to stop (SIGTERM, SIGINT).

    Workers are forked from this process, so what is loaded here is shared between them; open
    connections are not.
    """
    get_resolver().url_patterns  # noqa: B018  # loads every view before the fork
    TALLY.share()
    connections.close_all()
    gc.collect()
    gc.freeze()
    server = Granian(
        application,
        address=settings.HOST,
        port=settings.PORT,
        interface=Interfaces.WSGI,
        workers=settings.WEB_WORKERS,
        blocking_threads=settings.WEB_THREADS,
        # Open connections of a process, idle ones too: each browser keeps some. Requests in Python
        # are bounded by the threads above.
        backpressure=CONNECTIONS,
        log_level=LogLevels.error,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
    )
    _let_new_workers_be_stopped()
    with serving():
        server.serve()


def _let_new_workers_be_stopped() -> None:
    """A worker that is still loading ends by SIGTERM at once.

    Until it serves, it would handle signals as the process does that it was forked from, which only
    takes a note: a node stopped while a worker starts would wait for that worker for ever. SIGINT
    comes to all of a terminal; workers leave it to the first process, which ends them by SIGTERM.
    """
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ENDING),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING),
        after_in_child=_be_stopped,
    )


def _be_stopped() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
