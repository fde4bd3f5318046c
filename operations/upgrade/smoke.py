"""Tests of a migrated database, in a subprocess: of the copy of a dry run, or after an upgrade.

Tests the end of the audit log, readiness, the sign-in page, a sign-in, the key set and a check of
forward auth. Each is a transaction that is rolled back. Prints one line of JSON.
"""

import json
import sys
from collections.abc import Callable
from secrets import token_urlsafe
from time import perf_counter
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.commands.migrate import Command as Migrate
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import User
from audit.audit_log import GENESIS, event_hash
from audit.models import AuditEvent
from core.cache import cache_alias
from core.locks import AUDIT
from core.models import NamedLock
from magiclinks.models import LoginLink
from magiclinks.services import MIN_LIFETIME, issue_link
from operations.upgrade.lock_analysis import effects
from operations.upgrade.prepare import prepare_cache

LAST_ROWS = 1000


class TimedMigrate(Migrate):
    """Django's migrate, which records the time and the statements of each migration."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[dict[str, Any]] = []
        self._started = 0.0
        self._statements: list[str] = []

    def run(self) -> list[dict[str, Any]]:
        """Apply missing migrations; returns a record for each."""
        with connection.execute_wrapper(self._record):
            call_command(self, verbosity=0, interactive=False)
        return self.records

    def _record(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        self._statements.append(sql)
        return execute(sql, *rest)

    def migration_progress_callback(
        self, action: str, migration: Any = None, fake: bool = False
    ) -> None:
        if action == "apply_start":
            self._started = perf_counter()
            self._statements.clear()
        elif action == "apply_success":
            is_sqlite = connection.vendor == "sqlite"
            self.records.append(
                {
                    "name": f"{migration.app_label}.{migration.name}",
                    "seconds": perf_counter() - self._started,
                    "effects": effects(self._statements, is_sqlite=is_sqlite),
                }
            )


class SmokeTest:
    """The tests, each in a new browser. Each raises AssertionError with the problem."""

    def __init__(self) -> None:
        self.browser = Client(headers={"host": settings.PUBLIC_HOST})

    def get(self, path: str, **headers: str) -> Any:
        return self.browser.get(path, secure=settings.IS_HTTPS, headers=headers)

    def ready(self) -> str:
        return _expect(self.get(reverse("health-ready")), 200)

    def sign_in_page(self) -> str:
        return _expect(self.get(reverse("account_login")), 200)

    def sign_in(self) -> str:
        """Sign a new account in, which is rolled back, and open its page.

        By a link, because no setting switches that off and it asks no other server.
        """
        email = f"rehearsal-{token_urlsafe(6).lower()}@example.com"
        user = User(email=email, email_verified_at=timezone.now())
        user.save(force_insert=True)
        link = issue_link(
            user, actor=SYSTEM, lifetime=MIN_LIFETIME, source=LoginLink.Source.COMMAND
        )
        path = link.url.removeprefix(settings.PUBLIC_ORIGIN)
        _expect(self.browser.post(path, secure=settings.IS_HTTPS), 302)
        return _expect(self.get(reverse("accounts:profile")), 200)

    def key_set(self) -> str:
        """With secrets for HS256 there are no public keys."""
        answer = self.get(reverse("jwks"))
        _expect(answer, 200)
        keys = answer.json()["keys"]
        if not keys and not settings.JWT_SECRET:
            raise AssertionError("the key set is empty")
        return f"{len(keys)} public keys"

    def check(self) -> str:
        """A rule may deny the request; the test is that there is a decision."""
        self.sign_in()
        headers = {"x-original-url": f"{settings.PUBLIC_URL}/", "x-original-method": "GET"}
        return _expect(self.get(reverse("forward_auth:check"), **headers), 204, 403)

    def audit(self) -> str:
        """The last rows form a chain that ends at the head."""
        rows = list(AuditEvent.objects.order_by("-seq")[:LAST_ROWS])[::-1]
        for number, row in enumerate(rows):
            if number and (rows[number - 1].seq, rows[number - 1].hash) != (
                row.seq - 1,
                row.previous_hash,
            ):
                raise AssertionError(f"row {row.seq} does not follow the one before")
            if event_hash(row) != row.hash:
                raise AssertionError(f"row {row.seq} has been changed")
        head = NamedLock.objects.get(pk=AUDIT)
        if (head.hash or GENESIS) != (rows[-1].hash if rows else GENESIS):
            raise AssertionError("the end has been cut off")
        return f"{len(rows)} rows form a chain"


def main() -> None:
    """Migrate the copy, run the tests, print the result."""
    migrations = TimedMigrate().run()
    if cache_alias() != "default":
        prepare_cache()
    call_command("collectstatic", verbosity=0, interactive=False)
    _print({"migrations": migrations, "checks": run_tests()})


def main_after_upgrade() -> None:
    """Run the tests on what is there, print the result."""
    _print({"checks": run_tests()})


def run_tests() -> list[dict[str, Any]]:
    """The result of each test; changes nothing."""
    return [
        _run_test("the end of the audit log", SmokeTest().audit),
        _run_test("readiness", SmokeTest().ready),
        _run_test("the sign-in page", SmokeTest().sign_in_page),
        _run_test("a sign-in", SmokeTest().sign_in),
        _run_test("the key set", SmokeTest().key_set),
        _run_test("a check of forward auth", SmokeTest().check),
    ]


def _print(found: dict[str, Any]) -> None:
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def _run_test(name: str, check: Callable[[], str]) -> dict[str, Any]:
    """Run one test and roll it back; any exception is a failed test, and the others go on."""
    started = perf_counter()
    try:
        with transaction.atomic():
            detail, passed = check(), True
            transaction.set_rollback(True)
    except Exception as error:
        detail, passed = f"{type(error).__name__}: {error}"[:200], False
    return {"name": name, "passed": passed, "detail": detail, "seconds": perf_counter() - started}


def _expect(answer: Any, *good: int) -> str:
    if answer.status_code not in good:
        raise AssertionError(f"answered {answer.status_code}")
    return f"answered {answer.status_code}"
