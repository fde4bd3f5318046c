"""`manage.py offboarduser LOGIN`"""

import json
from typing import Any

from django.core.management import CommandError, CommandParser

from accounts.actors import SYSTEM
from accounts.commands import AccountCommand
from accounts.offboarding.report import KindResult, Report
from accounts.services.offboard import offboard


class Command(AccountCommand):
    """Take all access away from an account, and prove it."""

    help = (
        "Disable an account and end everything that it can be entered with: sessions, tokens, API "
        "keys, links, invitations, trusted browsers. Then try each of them, and print what was "
        "refused and after how long. Safe to repeat. Exits with 1 if anything is still accepted. "
        "`enableuser` lets the account in again; what has ended does not come back. The last "
        "active owner cannot be offboarded."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("login", help="address or user name")
        parser.add_argument("--reason", default="", help="stored in the audit log")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")

    def act(self, **options: Any) -> None:
        user = self.find_user(options["login"])
        question = f"Take all access away from {user.email} ({user.role})?"
        self.ask_yes(question, assume_yes=options["yes"])
        report = offboard(actor=SYSTEM, user=user, reason=options["reason"])
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json(), indent=2))
        else:
            self._print(report)
        if not report.is_proved:
            names = ", ".join(kind.name for kind in report.accepted)
            raise CommandError(f"{user.email} is disabled, but still accepted: {names}.")

    def _print(self, report: Report) -> None:
        before = " It was disabled already." if report.was_disabled else ""
        self.stdout.write(f"Disabled {report.email}.{before}")
        for kind in report.kinds:
            self.stdout.write(_line(kind))
        for kind in report.kinds:
            if kind.count and kind.limits:
                self.stdout.write(f"Cannot be ended from here: {kind.limits}")
        self.stdout.write(f"The report is entry {report.number} of the audit log.")


def _line(kind: KindResult) -> str:
    if not kind.count:
        return f"  {kind.label}: none"
    if kind.accepted:
        return f"  {kind.label}: {kind.count}, {kind.accepted} STILL ACCEPTED"
    reasons = ", ".join(sorted(kind.reasons))
    return f"  {kind.label}: {kind.count}, refused after {kind.milliseconds} ms ({reasons})"
