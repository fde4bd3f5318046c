"""Background work of a server process: answer requests for mail, send mail, clear away.

Each server process runs it in one daemon thread; several at once share the work through the
database, where one conditional statement decides who takes what. `manage.py serve` with the
embedded default therefore needs no second service.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import Any

from django.db import close_old_connections
from django.utils import timezone

from accounts import outbox
from accounts.locks import delete_free
from accounts.models import AccountToken, AddressRequest
from accounts.sent_forms import purge_sent_forms
from accounts.services import directory_sync, invitations, passwords, signup
from accounts.sessions import SessionStore
from accounts.signals import address_requested, mail_queued
from api.services import apikeys, families, signing
from config import cache
from config.subpath import use_in_this_thread
from magiclinks import services as links
from moderation.services.violations import purge_moderation
from sso.services import denials, notes

logger = logging.getLogger("gatehouse.worker")
POLL_SECONDS = 2.0
PURGE_EVERY = timedelta(minutes=10)
COUNTERS_EVERY = timedelta(minutes=1)
# Whether it is somebody's turn to ask the directory; of all processes one does, every few minutes.
DIRECTORY_EVERY = timedelta(seconds=30)
# Used and expired links and sent mails stay readable in the panel for so long.
KEEP = timedelta(days=30)
# A wish for mail seldom comes alone; those of one moment are answered in one transaction.
GATHER_SECONDS = 0.01
Job = Callable[[], int]
REQUEST_JOBS: dict[AddressRequest.Kind, Job] = {
    AddressRequest.Kind.MAGIC_LINK: links.handle_link_requests,
    AddressRequest.Kind.SIGN_UP: signup.handle_sign_up_requests,
    AddressRequest.Kind.RESET_PASSWORD: passwords.handle_reset_requests,
}
NOTING: tuple[Job, ...] = (denials.write_denials, notes.write_notes)
JOBS: tuple[Job, ...] = (*REQUEST_JOBS.values(), outbox.deliver_due, *NOTING)


def run_jobs_once(jobs: Collection[Job] = JOBS) -> int:
    """Do what is due now; returns how many things were done. A failing job stops no other."""
    done = 0
    for job in jobs:
        try:
            done += job()
        except Exception:
            logger.exception("a background job failed", extra={"job": job.__qualname__})
    return done


def purge() -> None:
    """Delete what nothing needs any more: ended sessions, old links, mails, bans.

    Signing keys that are old enough get their successor here, too: no key is urgent. A step that
    fails stops no other.
    """
    now = timezone.now()
    before = now - KEEP
    tokens = AccountToken.objects.filter(expires_at__lt=before)
    steps: tuple[Callable[[], object], ...] = (
        SessionStore.clear_expired,
        lambda: purge_sent_forms(now),
        lambda: delete_free(tokens),
        lambda: invitations.purge_invitations(before),
        lambda: links.purge_links(before),
        lambda: apikeys.purge_keys(before),
        lambda: outbox.purge_mails(before),
        lambda: purge_moderation(now),
        lambda: denials.purge_denials(now),
        lambda: families.purge_families(before),
        lambda: signing.purge_keys(before),
        signing.rotate_when_due,
    )
    for step in steps:
        try:
            step()
        except Exception:
            logger.exception("a step of clearing away failed")


class Worker:
    """The thread. A signal makes it do that job at once; every POLL_SECONDS it does them all."""

    def __init__(self) -> None:
        self._wanted: SimpleQueue[Job] = SimpleQueue()
        self._poll_at = 0.0
        self._purge_at = self._directory_at = self._counters_at = timezone.now()

    def start(self) -> None:
        """Run until the process ends. A daemon: all its work is safe to be cut off."""
        address_requested.connect(self._on_request)
        mail_queued.connect(self._on_mail)
        threading.Thread(target=self._run, name="worker", daemon=True).start()

    def _on_request(self, kind: AddressRequest.Kind, **_of_signal: Any) -> None:
        self._wanted.put(REQUEST_JOBS[kind])

    def _on_mail(self, **_of_signal: Any) -> None:
        self._wanted.put(outbox.deliver_due)

    def _run(self) -> None:
        use_in_this_thread()
        while True:
            jobs = self._next_jobs()
            try:
                self._work(jobs)
            except Exception:
                # Without this thread no mail would leave until a restart.
                logger.exception("a turn of the worker failed")

    def _work(self, jobs: Collection[Job]) -> None:
        close_old_connections()
        run_jobs_once(jobs)
        self._purge_when_due()
        self._clear_counters_when_due()
        self._ask_directory_when_due()

    def _next_jobs(self) -> Collection[Job]:
        """Wait for a signal or the next poll."""
        wanted: set[Job] = set()
        with suppress(Empty):
            wanted.add(self._wanted.get(timeout=max(0.0, self._poll_at - time.monotonic())))
            time.sleep(GATHER_SECONDS)
            while True:
                wanted.add(self._wanted.get_nowait())
        if time.monotonic() < self._poll_at:
            return wanted
        self._poll_at = time.monotonic() + POLL_SECONDS
        return JOBS

    def _purge_when_due(self) -> None:
        if timezone.now() < self._purge_at:
            return
        self._purge_at = timezone.now() + PURGE_EVERY
        purge()

    def _clear_counters_when_due(self) -> None:
        if timezone.now() >= self._counters_at:
            self._counters_at = timezone.now() + COUNTERS_EVERY
            run_jobs_once([cache.purge_expired])

    def _ask_directory_when_due(self) -> None:
        if timezone.now() >= self._directory_at:
            self._directory_at = timezone.now() + DIRECTORY_EVERY
            run_jobs_once([directory_sync.sync_live])


_worker: Worker | None = None


def start_worker() -> None:
    """Start the one worker of this process; later calls do nothing."""
    global _worker  # one per process, and signals hold it weakly
    if _worker is None:
        _worker = Worker()
        _worker.start()
