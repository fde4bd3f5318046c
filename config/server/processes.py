"""Runs the server processes with granian, which passes each raw request to config.server.dispatch.

Django runs by WSGI, which was ten times faster than ASGI here. granian's own WSGI mode is not used:
it loses the spelling of header names, and it reads bodies in the threads that answer.
"""

import asyncio
import gc
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any

from django.conf import settings
from django.db import connection, connections
from granian import Granian
from granian._granian import ASGIWorker, CallbackScheduler, SocketHolder
from granian._signals import set_loop_signals
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.mp import WORKERS_METHODS, WorkerProcess

from config.pages import load_pages
from config.server.dispatch import Serving, no_answers
from config.server.health_check import reachable
from config.server.shutdown import SETTLE_SECONDS, stop_accepting
from config.server.systemd import accept_again, notify, passed_listener, report_life
from core import tracing
from core.file_descriptors import CONNECTIONS, allow_all
from core.metrics import COUNTERS
from operations.locks import serving

# Of a Unix socket. Its clients are trusted like a proxy on this machine.
SOCKET_RIGHTS = 0o660
# The longest that an unfinished request delays a stop. The docs ask to give a node 30 seconds.
STOP_SECONDS = 20
ENDING = (signal.SIGTERM, signal.SIGINT)
# Tells a worker to accept no new connection.
DRAINING = signal.SIGUSR1
TELL_SECONDS = 1.0
# Measured over 8, 16, 32 and 64 connections: eight threads answer as much as one over few, and a
# quarter more over many, because requests that wait are taken one after the other without the
# threads going to sleep in between. Each has a connection of its own, which PostgreSQL counts.
CHECK_THREADS, CHECK_THREADS_POSTGRESQL = 8, 4
# Beside pages: one holds the interpreter for ten milliseconds and more, a check has it in between.
SWITCH_SECONDS = 0.0005
# What requests leave behind is freed at once, nearly all of it; looking for the rest costs most.
GARBAGE = (20_000, 20, 20)

WHOLE, CHECKS = "config.wsgi:application", "config.forward_auth_wsgi:application"


def run_server(application: str = WHOLE) -> None:
    """Serve WHOLE or CHECKS until SIGTERM or SIGINT.

    Workers are forked from this process, so they share what is loaded here; open connections must
    not be shared.
    """
    allow_all()
    if settings.WEB_WORKERS > 1:
        load_pages()  # once for all of them
    COUNTERS.share()
    connections.close_all()
    # Without a collection before: a start leaves nearly no garbage, and looking took 60 ms.
    gc.freeze()
    multiprocessing.set_start_method("fork", force=True)
    server = _Server(
        application,
        address=settings.HOST,
        port=settings.PORT,
        uds=settings.SOCKET,
        uds_permissions=SOCKET_RIGHTS,
        interface=Interfaces.ASGINL,
        workers=settings.WEB_WORKERS,
        websockets=False,
        # Requests in Python are bounded by the threads; see _work().
        blocking_threads=1,
        backpressure=CONNECTIONS,
        log_level=LogLevels.error,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
    )
    _prepare_workers(application)
    with serving():
        server.serve(spawn_target=WorkerProcess.wrap_target(partial(_work, application)))


class _Server(Granian):
    """Stops its workers in two steps: no new connections, and a moment later the end."""

    _passed: socket.socket | None = None

    def __init__(self, *of_library: Any, **more: Any) -> None:
        super().__init__(*of_library, **more)
        self._stopping = threading.Event()

    def _init_shared_socket(self) -> None:
        """Open the listening socket, or take over the one that systemd has opened."""
        self._passed = passed_listener()
        if self._passed is None:
            super()._init_shared_socket()
            report_life(str(settings.SOCKET or "") or _own_address(), self._stopping)
            return
        accept_again(self._passed)
        is_file = self._passed.family == socket.AF_UNIX
        make: Any = SocketHolder  # its types lack the parameters
        # All workers accept from it, as they do from a socket file.
        self._ssp, self._shd = None, make(self._passed.fileno(), is_file, self.backlog)
        self._sfd, self._sso = self._passed.fileno(), self._passed
        report_life(self._passed.getsockname(), self._stopping)

    def _drop_shared_socket(self) -> None:
        """The socket of systemd stays open until the workers have stopped."""
        if self._passed is None:
            super()._drop_shared_socket()

    def shutdown(self, exit_code: int = 0) -> None:
        try:
            super().shutdown(exit_code)
        finally:
            if self._passed is not None:
                accept_again(self._passed)

    def signal_handler_interrupt(self, *_of_signal: Any, **_more: Any) -> None:
        """SIGTERM, SIGINT."""
        if not self._stopping.is_set():
            self._stopping.set()
            threading.Thread(target=self._stop, name="stopping", daemon=True).start()

    def _stop(self) -> None:
        notify("STOPPING=1")
        for worker in multiprocessing.active_children():
            with suppress(ProcessLookupError):
                if worker.pid:
                    os.kill(worker.pid, DRAINING)
        time.sleep(SETTLE_SECONDS)
        while True:
            # Repeated, because the library forgets a signal while it replaces a worker.
            super().signal_handler_interrupt()
            time.sleep(TELL_SECONDS)


def _own_address() -> tuple[str, int]:
    return reachable(settings.HOST), settings.PORT


class _Taking(CallbackScheduler):
    """Passes requests to `take` directly, where the library would start an asyncio task."""

    def __init__(
        self,
        _loop: asyncio.AbstractEventLoop,
        take: Callable[[Any], None],
        *_of_tasks: None,
    ) -> None:
        super().__init__()
        self._schedule_fn = take


def _work(
    application: str,
    worker: int,
    callback: Any,
    listener: Any,
    ipc: Any,
    loop: asyncio.AbstractEventLoop,
    mode: Any,
    runtime_threads: int,
    runtime_blocking_threads: int,
    _blocking_threads: int,
    idle_seconds: int,
    backpressure: int,
    _tasks: Any,
    http: Any,
    http1: Any,
    http2: Any,
    websockets: bool,
    static: Any,
    _log_format: Any,
    tls: tuple[Any, ...],
    _scope: Any,
    metrics: Any,
) -> None:
    """Run one worker process. The parameters are those that the library passes to its own kinds."""
    ending = set_loop_signals(loop)
    over = asyncio.Event()
    ending.add_cb(lambda: loop.call_soon_threadsafe(over.set))
    make: Any = ASGIWorker  # its types are those of an older release
    library = make(
        worker, listener, ipc, runtime_threads, runtime_blocking_threads,
        _check_threads(), idle_seconds, backpressure, http, http1, http2, websockets, static,
        *tls, metrics,
    )  # fmt: skip
    threads = settings.WEB_THREADS if application == WHOLE else _check_threads()
    module = import_module(application.partition(":")[0])
    # Questions of apps are answered by WHOLE alone.
    known_answers = getattr(module, "known_answers", no_answers)
    serving = Serving(callback, module.cached_response, threads, loop, known_answers)
    scheduler = _Taking(loop, serving.take, None, None, None)
    is_unix_socket = (listener[0] or listener[1]).is_uds()
    getattr(library, WORKERS_METHODS[mode][is_unix_socket])(scheduler, loop, ending)
    loop.run_until_complete(over.wait())
    tracing.stop()


def _check_threads() -> int:
    is_near = connection.vendor == "sqlite"
    wanted: int = settings.WEB_THREADS
    return min(wanted, CHECK_THREADS if is_near else CHECK_THREADS_POSTGRESQL)


def _prepare_workers(application: str) -> None:
    """Set what each worker does first, and let SIGTERM end it while it is still loading.

    Otherwise it would inherit the handler of the parent, which only sets a flag: a node that is
    stopped while a worker starts would wait for it forever. A terminal sends SIGINT to all
    processes; workers ignore it, and the parent ends them by SIGTERM.
    """
    signal.signal(DRAINING, signal.SIG_IGN)
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ENDING),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING),
        after_in_child=lambda: _begin_worker(application),
    )


def _begin_worker(application: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(DRAINING, lambda *_of_signal: stop_accepting())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    if application == WHOLE:
        sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*GARBAGE)
