"""The measures of /metrics, each with the help text that monitoring shows."""

import platform
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from django.db import DatabaseError, connection
from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from accounts.models import BrowserSession, EmailRequest
from api.models import TokenFamily
from audit import destinations
from core.health import database_answers
from core.metrics import COUNTERS, HASHES_RUNNING, HASHES_WAITING, Key
from core.version import VERSION
from mail.models import OutboxMail
from moderation.models import Ban

Status = OutboxMail.Status
MICRO = 1_000_000
UNSENT = (Status.QUEUED, Status.SENDING)


class Counted(NamedTuple):
    """A counter from core.metrics: its key's first word, our name, help, labels, unit."""

    word: str
    name: str
    help: str
    labels: tuple[str, ...] = ()
    scale: int = 1


COUNTED = (
    Counted("requests", "gatehouse_requests", "Answers of Django by HTTP status.", ("status",)),
    Counted("requests_took", "gatehouse_requests_seconds", "Time for these answers.", (), MICRO),
    Counted(
        "sign_ins", "gatehouse_sign_ins", "Sign-ins by method and result.", ("method", "result")
    ),
    Counted("acts", "gatehouse_acts", "Rows of the audit log as written.", ("action", "result")),
    Counted("limits", "gatehouse_limits_exceeded", "Tries beyond a limit.", ("limit",)),
    Counted("checks", "gatehouse_checks", "Answers of forward auth.", ("status", "way")),
    Counted("checks_looked_up", "gatehouse_checks_looked_up", "Credentials looked up for checks."),
    Counted("webhooks", "gatehouse_webhook_deliveries", "Deliveries of webhooks.", ("result",)),
    Counted("hashes", "gatehouse_password_hashes", "Passwords hashed."),
    Counted(
        "hashes_waited",
        "gatehouse_password_hash_wait_seconds",
        "Time that hashes, and sign-ins before them, waited for their turn.",
        (),
        MICRO,
    ),
)


def server_measures() -> Iterator[Metric]:
    """What this server has counted, and what it is; asks no database."""
    counts = COUNTERS.counts()
    yield _build()
    yield from _counters(counts)
    waiting = "Password hashes, and sign-ins before them, that wait for their turn."
    yield _gauge("gatehouse_password_hashes_waiting", waiting, counts[HASHES_WAITING])
    running = "Password hashes under way."
    yield _gauge("gatehouse_password_hashes_running", running, counts[HASHES_RUNNING])


def database_measures() -> Iterator[Metric]:
    """What the database knows. While it does not answer, gatehouse_database_up alone says so."""
    began = time.perf_counter()
    is_up = database_answers()
    answer = time.perf_counter() - began
    measures: list[Metric] = []
    if is_up:
        try:
            measures = [_gauge(*ANSWER, answer), *_rows_of(timezone.now())]
        except DatabaseError:
            is_up = False
    yield _gauge("gatehouse_database_up", "1 while the database answers.", is_up)
    yield from measures if is_up else ()


ANSWER = ("gatehouse_database_answer_seconds", "How long the database took for SELECT 1.")


def _counters(counts: Counter[Key]) -> Iterator[Metric]:
    by_word: dict[str, list[Key]] = defaultdict(list)
    for key in sorted(counts):
        by_word[key[0]].append(key)
    for counted in COUNTED:
        family = CounterMetricFamily(counted.name, counted.help, labels=counted.labels)
        for key in by_word[counted.word] or ([] if counted.labels else [(counted.word,)]):
            family.add_metric(key[1:], counts[key] / counted.scale)
        yield family


def _build() -> Metric:
    family = GaugeMetricFamily(
        "gatehouse_build_info", "What runs here.", labels=("version", "python", "database")
    )
    family.add_metric((VERSION, platform.python_version(), connection.vendor), 1)
    return family


def _rows_of(now: datetime) -> Iterator[Metric]:
    yield _by_label("gatehouse_sessions", "Live sign-ins.", "kind", _sessions(now))
    yield _by_label("gatehouse_bans", "Bans in force.", "kind", _bans(now))
    mails = OutboxMail.objects.values_list("status").annotate(Count("pk"))
    every_status = dict.fromkeys(Status.values, 0) | dict(mails)
    yield _by_label("gatehouse_mails", "Mails of the outbox.", "status", every_status.items())
    oldest = OutboxMail.objects.filter(status__in=UNSENT).aggregate(at=Min("created_at"))["at"]
    age = max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
    yield _gauge("gatehouse_mail_queue_age_seconds", "Age of the oldest mail on its way.", age)
    waiting = "Requests for mail that wait for the worker."
    yield _gauge("gatehouse_address_requests", waiting, EmailRequest.objects.count())
    lags = destinations.lags()
    late = "Age of the oldest audit event that has not arrived at a destination."
    ages = [(lag.name, lag.age(now).total_seconds()) for lag in lags]
    yield _by_label("gatehouse_audit_waiting_seconds", late, "destination", ages)
    failing = "1 while a destination of the audit log fails."
    states = [(lag.name, int(lag.failing_since is not None)) for lag in lags]
    yield _by_label("gatehouse_audit_failing", failing, "destination", states)


def _sessions(now: datetime) -> Iterable[tuple[str, int]]:
    """Of browsers, and of programs that sign in by tokens."""
    live = BrowserSession.objects.filter(expire_date__gt=now, user__isnull=False)
    families = TokenFamily.objects.filter(expires_at__gt=now, ended_at=None)
    return (("browser", live.count()), ("program", families.count()))


def _bans(now: datetime) -> Iterable[tuple[str, int]]:
    kinds = dict.fromkeys(Ban.Kind.values, 0)
    found = Ban.objects.active(now).values_list("kind").annotate(Count("pk"))
    return (kinds | dict(found)).items()


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _by_label(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for value, number in values:
        family.add_metric((value,), number)
    return family
