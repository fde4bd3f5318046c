"""Background work of a server process: answer requests for mail, send mail, clear away.

Each server process runs it in one daemon thread; several at once share the work through the
database, where one conditional statement decides who takes what. `manage.py serve` with the
embedded default therefore needs no second service.
"""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import close_old_connections
from django.utils import timezone

from accounts import outbox
from accounts.models import AccountToken
from accounts.services import passwords, signup
from accounts.sessions import SessionStore
from accounts.signals import address_requested, mail_queued
from config import cache
from magiclinks import services as links

logger = logging.getLogger("gatehouse.worker")
POLL_SECONDS = 2.0
PURGE_EVERY = timedelta(minutes=10)
# Used and expired links and sent mails stay readable in the panel for so long.
KEEP = timedelta(days=30)
JOBS: tuple[Callable[[], int], ...] = (
    links.handle_link_requests,
    signup.handle_sign_up_requests,
    passwords.handle_reset_requests,
    outbox.deliver_due,
)


def run_jobs_once() -> int:
    """Do what is due now; returns how many things were done. A failing job stops no other."""
    done = 0
    for job in JOBS:
        try:
            done += job()
        except Exception:
            logger.exception("a background job failed", extra={"job": job.__qualname__})
    return done


def purge() -> None:
    """Delete what nothing needs any more: ended sessions and counters, old links and mails."""
    before = timezone.now() - KEEP
    SessionStore.clear_expired()
    cache.purge_expired()
    AccountToken.objects.filter(expires_at__lt=before).delete()
    links.purge_links(before)
    outbox.purge_mails(before)


class Worker:
    """The thread. wake() makes it look at once instead of at the next poll."""

    def __init__(self) -> None:
        self._wake = threading.Event()
        self._purge_at = timezone.now()

    def start(self) -> None:
        """Run until the process ends. A daemon: all its work is safe to be cut off."""
        for signal in (address_requested, mail_queued):
            signal.connect(self.wake)
        threading.Thread(target=self._run, name="worker", daemon=True).start()

    def wake(self, **_of_signal: Any) -> None:
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(POLL_SECONDS)
            self._wake.clear()
            close_old_connections()
            run_jobs_once()
            self._purge_when_due()

    def _purge_when_due(self) -> None:
        if timezone.now() < self._purge_at:
            return
        self._purge_at = timezone.now() + PURGE_EVERY
        try:
            purge()
        except Exception:
            logger.exception("clearing away failed")


_worker: Worker | None = None


def start_worker() -> None:
    """Start the one worker of this process; later calls do nothing."""
    global _worker  # one per process, and signals hold it weakly
    if _worker is None:
        _worker = Worker()
        _worker.start()
