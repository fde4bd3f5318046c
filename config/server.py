"""The server processes: granian in WSGI mode, which measured ten times faster than ASGI here."""

import gc

from django.conf import settings
from django.db import connections
from django.urls import get_resolver
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from accounts.tally import TALLY
from config.moving.locks import serving

CONNECTIONS = 1024


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
    )
    with serving():
        server.serve()
