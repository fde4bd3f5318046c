"""The newest findings of the doctor, and when the worker was seen, for pages of the admin panel.

No page waits for another server: the worker examines the instance every EVERY, and pages read what
it found. Kept with the counters, which all server processes share; nothing here needs a backup.
"""

import logging
import threading
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.core.cache import caches
from django.db import connections
from django.utils import timezone

from operations.doctor import Finding, HealthPart, examine, examine_provider

logger = logging.getLogger("gatehouse.doctor")
EVERY = timedelta(minutes=10)
# Examinations that are asked for by hand; the next may start after it, at the latest.
BY_HAND_SECONDS = 30
# The worker says so each minute.
WORKER_IS_LATE = timedelta(minutes=5)
REPORT, DUE, RUNNING = "doctor-report", "doctor-due", "doctor-running"
PROVIDER_REPORT = "doctor-provider-"
WORKER_SEEN, LAST_BACKUP = "worker-seen", "last-backup"


class CheckRunning(Exception):
    """Another administrator has just asked for the same."""


class Report(NamedTuple):
    """What an examination found, and when it ended."""

    at: datetime
    findings: tuple[Finding, ...]

    def of(self, part: HealthPart, subject: str | None = None) -> list[Finding]:
        """The findings about one part, or one provider."""
        found = [finding for finding in self.findings if finding.part == part]
        return [one for one in found if subject is None or one.subject == subject]


def latest_report() -> Report | None:
    """The newest report; None before the first, and if another version has written it."""
    return _stored(REPORT)


def check_now() -> Report:
    """Examine the instance and keep the report. Raises CheckRunning. See doctor.examine()."""
    if not caches["counters"].add(RUNNING, 1, BY_HAND_SECONDS):
        raise CheckRunning
    try:
        return _check()
    finally:
        caches["counters"].delete(RUNNING)


def check_provider(provider_id: str) -> Report:
    """Examine one provider or the directory, and keep the result. See doctor.examine_provider()."""
    report = Report(timezone.now(), tuple(examine_provider(provider_id)))
    _keep(PROVIDER_REPORT + provider_id, report)
    return report


def provider_report(provider_id: str) -> Report | None:
    """The newest result for one provider or the directory, of its own test or of all parts."""
    own, whole = _stored(PROVIDER_REPORT + provider_id), latest_report()
    if whole is not None and (own is None or own.at < whole.at):
        found = tuple(one for one in whole.findings if one.subject == provider_id)
        return Report(whole.at, found)
    return own


def check_when_due() -> int:
    """Worker job: start an examination in a thread of its own; returns whether one was due.

    One of all server processes examines. Mail does not wait for it.
    """
    if not caches["counters"].add(DUE, 1, int(EVERY.total_seconds())):
        return 0
    threading.Thread(target=_check_in_thread, name="doctor", daemon=True).start()
    return 1


def note_worker() -> int:
    """Worker job: say that the worker of some process is alive."""
    caches["counters"].set(WORKER_SEEN, timezone.now().isoformat(), None)
    return 0


def note_backup() -> None:
    """Remember when the last backup was made."""
    caches["counters"].set(LAST_BACKUP, timezone.now().isoformat(), None)


def worker_seen_at() -> datetime | None:
    return _moment(WORKER_SEEN)


def last_backup_at() -> datetime | None:
    """When `manage.py backup` last succeeded here; None if that is not known."""
    return _moment(LAST_BACKUP)


def _moment(key: str) -> datetime | None:
    text = caches["counters"].get(key)
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def _check_in_thread() -> None:
    try:
        _check()
    except Exception:
        logger.exception("the examination failed")
    finally:
        connections.close_all()


def _check() -> Report:
    report = Report(timezone.now(), tuple(examine()))
    _keep(REPORT, report)
    return report


def _keep(key: str, report: Report) -> None:
    stored = {"at": report.at.isoformat(), "findings": [asdict(each) for each in report.findings]}
    caches["counters"].set(key, stored, None)


def _stored(key: str) -> Report | None:
    stored = caches["counters"].get(key)
    try:
        return _report(stored) if stored else None
    except (TypeError, ValueError, KeyError):
        return None


def _report(stored: dict[str, Any]) -> Report:
    findings = tuple(
        Finding(**{**fields, "part": HealthPart(fields["part"])}) for fields in stored["findings"]
    )
    return Report(datetime.fromisoformat(stored["at"]), findings)
