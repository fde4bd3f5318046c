"""The part of a dry run that works on the copy, in a subprocess; see dry_run.py.

Times the migrations, then tests readiness, the sign-in page, a sign-in, a check of forward auth and
the end of the audit log. Prints one line of JSON.
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

from accounts.models import User
from accounts.roles import Role
from audit.audit_log import GENESIS, event_hash
from audit.models import AuditEvent
from core.cache import cache_alias
from core.locks import AUDIT
from core.models import NamedLock
from operations.upgrade.lock_analysis import effects

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
    """The tests. Each raises AssertionError with the problem."""

    def __init__(self) -> None:
        self.browser = Client(headers={"host": settings.PUBLIC_HOST})
        self.secret = token_urlsafe(16)

    def get(self, path: str, **headers: str) -> Any:
        return self.browser.get(path, secure=settings.IS_HTTPS, headers=headers)

    def ready(self) -> str:
        return _expect(self.get(reverse("health-ready")), 200)

    def sign_in_page(self) -> str:
        return _expect(self.get(reverse("account_login")), 200)

    def sign_in(self) -> str:
        """Sign in with a new account, which is deleted together with the copy."""
        email = f"rehearsal-{token_urlsafe(6).lower()}@example.com"
        user = User(email=email, role=Role.OWNER, email_verified_at=timezone.now())
        user.set_password(self.secret)
        user.save(force_insert=True)
        answer = self.browser.post(
            reverse("account_login"),
            {"login": email, "password": self.secret},
            secure=settings.IS_HTTPS,
        )
        return _expect(answer, 302)

    def check(self) -> str:
        """A rule may deny the request; the test is that there is a decision."""
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
        call_command("migrate", database=cache_alias(), verbosity=0, interactive=False)
    call_command("collectstatic", verbosity=0, interactive=False)
    test = SmokeTest()
    checks = [
        _run_test("the end of the audit log", test.audit),
        _run_test("readiness", test.ready),
        _run_test("the sign-in page", test.sign_in_page),
        _run_test("a sign-in", test.sign_in),
        _run_test("a check of forward auth", test.check),
    ]
    sys.stdout.write("\n" + json.dumps({"migrations": migrations, "checks": checks}) + "\n")


def _run_test(name: str, check: Callable[[], str]) -> dict[str, Any]:
    """Run one test; any exception is a failed test, and the dry run goes on."""
    started = perf_counter()
    try:
        with transaction.atomic():
            detail, passed = check(), True
    except Exception as error:
        detail, passed = f"{type(error).__name__}: {error}"[:200], False
    return {"name": name, "passed": passed, "detail": detail, "seconds": perf_counter() - started}


def _expect(answer: Any, *good: int) -> str:
    if answer.status_code not in good:
        raise AssertionError(f"answered {answer.status_code}")
    return f"answered {answer.status_code}"
