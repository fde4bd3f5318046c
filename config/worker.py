"""Background work of a server process: handle email requests, send mail, delete old rows.

Each server process runs it in a daemon thread, and webhooks in another. Several processes share the
work through the database, where one conditional statement decides which one takes a row. So
`manage.py serve` needs no second service.
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

from access_reviews.services import due as reviews_due
from accounts.models import AccountToken, EmailRequest
from accounts.sent_forms import purge_sent_forms
from accounts.services import ended_access, invitations, passwords, signup, undo
from accounts.services.approvals import requests as approvals
from accounts.services.groups import members
from accounts.sessions.store import SessionStore
from accounts.signals import address_requested
from api.apikeys import services
from api.tokens import refresh_tokens, signing_keys
from applications.services import client_assertions
from audit import anchoring, shipping
from config.server.subpath import use_in_this_thread
from core import cache
from core.locks import delete_free
from federation.ldap import sync
from forward_auth.services import denials, key_usage
from magiclinks import services as links
from mail import outbox
from mail.signals import mail_queued
from moderation.services.violations import purge_moderation
from oidc_provider.services import codes, device_codes, grants, logout_notices, pushed_requests
from operations import checks
from webhooks.services import derivation, notices, sending
from webhooks.signals import delivery_queued

logger = logging.getLogger("gatehouse.worker")
POLL_SECONDS = 2.0
PURGE_EVERY = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)
REMIND_EVERY = timedelta(minutes=10)
# How often to check whether the directory is due. Of all processes, one asks it every few minutes.
DIRECTORY_EVERY = timedelta(seconds=30)
# How often to check whether an examination by the doctor is due.
EXAMINE_EVERY = timedelta(minutes=1)
# How long used and expired links and sent mails stay visible in the admin.
KEEP = timedelta(days=30)
# Email requests that arrive together are handled in one transaction.
GATHER_SECONDS = 0.01
Job = Callable[[], int]
REQUEST_JOBS: dict[EmailRequest.Kind, Job] = {
    EmailRequest.Kind.MAGIC_LINK: links.handle_link_requests,
    EmailRequest.Kind.SIGN_UP: signup.handle_sign_up_requests,
    EmailRequest.Kind.RESET_PASSWORD: passwords.handle_reset_requests,
}
REMIND_JOBS: tuple[Job, ...] = (
    ended_access.send_reminders,
    reviews_due.send_review_reminders,
    reviews_due.handle_due_reviews,
)
NOTE_JOBS: tuple[Job, ...] = (denials.write_denials, key_usage.write_notes)
JOBS: tuple[Job, ...] = (
    *REQUEST_JOBS.values(),
    ended_access.write_down_ended,
    members.end_memberships,
    approvals.expire_requests,
    outbox.deliver_due,
    *NOTE_JOBS,
)
MINUTE_JOBS: tuple[Job, ...] = (cache.purge_expired, checks.note_worker, notices.send_notices)
# Requests to other servers, which may hang.
WEBHOOK_JOBS: tuple[Job, ...] = (
    sending.deliver_due,
    logout_notices.send_due,
    shipping.send_due,
    anchoring.anchor_when_due,
)


def run_jobs_once(jobs: Collection[Job] = JOBS) -> int:
    """Run the jobs; returns the number of rows handled. A failing job stops no other."""
    done = 0
    for job in jobs:
        try:
            done += job()
        except Exception:
            logger.exception("a background job failed", extra={"job": job.__qualname__})
    return done


def purge() -> None:
    """Delete expired sessions, links, mails and bans, and rotate signing keys that are due.

    A failing step stops no other.
    """
    now = timezone.now()
    before = now - KEEP
    tokens = AccountToken.objects.filter(expires_at__lt=before)
    steps: tuple[Callable[[], object], ...] = (
        SessionStore.clear_expired,
        lambda: purge_sent_forms(now),
        lambda: delete_free(tokens),
        lambda: undo.purge_profile_changes(now),
        lambda: undo.purge_deleted_groups(now),
        lambda: approvals.purge_requests(now),
        lambda: invitations.purge_invitations(before),
        lambda: links.purge_links(before),
        lambda: services.purge_keys(before),
        lambda: outbox.purge_mails(before),
        lambda: purge_moderation(now),
        lambda: denials.purge_denials(now),
        derivation.erase_payloads,
        lambda: sending.purge_deliveries(before),
        lambda: refresh_tokens.purge_families(before),
        lambda: signing_keys.purge_keys(before),
        codes.purge_codes,
        pushed_requests.purge_pushed_requests,
        device_codes.purge_device_codes,
        client_assertions.purge_assertions,
        lambda: grants.purge_grants(before),
        lambda: logout_notices.purge_notices(before),
        signing_keys.rotate_when_due,
    )
    for step in steps:
        try:
            step()
        except Exception:
            logger.exception("a purge step failed")


class Worker:
    """The worker thread. A signal runs its job at once; every POLL_SECONDS all jobs run."""

    def __init__(self) -> None:
        self._wanted: SimpleQueue[Job] = SimpleQueue()
        self._poll_at = 0.0
        self._purge_at = self._directory_at = self._minute_at = timezone.now()
        self._remind_at = timezone.now()
        # A process that has just started has better things to do.
        self._examine_at = timezone.now() + EXAMINE_EVERY

    def start(self) -> None:
        """Run until the process ends. It is a daemon thread: all its work may be interrupted."""
        address_requested.connect(self._on_request)
        mail_queued.connect(self._on_mail)
        threading.Thread(target=self._run, name="worker", daemon=True).start()

    def _on_request(self, kind: EmailRequest.Kind, **_of_signal: Any) -> None:
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
        self._run_minute_jobs_when_due()
        self._remind_when_due()
        self._ask_directory_when_due()
        self._examine_when_due()

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

    def _run_minute_jobs_when_due(self) -> None:
        if timezone.now() >= self._minute_at:
            self._minute_at = timezone.now() + MINUTE
            run_jobs_once(MINUTE_JOBS)

    def _remind_when_due(self) -> None:
        if timezone.now() >= self._remind_at:
            self._remind_at = timezone.now() + REMIND_EVERY
            run_jobs_once(REMIND_JOBS)

    def _ask_directory_when_due(self) -> None:
        if timezone.now() >= self._directory_at:
            self._directory_at = timezone.now() + DIRECTORY_EVERY
            run_jobs_once([sync.sync_live])

    def _examine_when_due(self) -> None:
        if timezone.now() >= self._examine_at:
            self._examine_at = timezone.now() + EXAMINE_EVERY
            run_jobs_once([checks.check_when_due])


class WebhookWorker:
    """The thread that sends webhooks, and tells apps of sign-outs.

    One of its own, so that receivers that hang delay no mail.
    """

    def __init__(self) -> None:
        self._wanted = threading.Event()

    def start(self) -> None:
        """Run until the process ends, as Worker does."""
        delivery_queued.connect(self._on_delivery)
        threading.Thread(target=self._run, name="webhooks", daemon=True).start()

    def _on_delivery(self, **_of_signal: Any) -> None:
        self._wanted.set()

    def _run(self) -> None:
        use_in_this_thread()
        while True:
            self._wanted.wait(POLL_SECONDS)
            self._wanted.clear()
            try:
                close_old_connections()
                run_jobs_once(WEBHOOK_JOBS)
            except Exception:
                logger.exception("a turn of the webhook worker failed")


_workers: list[Worker | WebhookWorker] = []


def start_worker() -> None:
    """Start the workers of this process, once; later calls do nothing."""
    if not _workers:
        _workers.extend((Worker(), WebhookWorker()))  # signals hold them weakly
        for worker in _workers:
            worker.start()
