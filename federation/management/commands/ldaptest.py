"""`manage.py ldaptest [USERNAME]`"""

import getpass
import sys
from typing import Any

from django.conf import settings
from django.core.management import CommandError, CommandParser

from core.commands import GatehouseCommand
from federation.ldap.diagnosis import Step, diagnose
from federation.ldap.failures import Failures


class Command(GatehouseCommand):
    """Explain a sign-in through the directory."""

    help = (
        "Perform the steps of a sign-in through the directory (LDAP), and report the result of "
        "each, with the fix for a failure. Changes nothing. Exits with 1 if a step fails."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "username",
            nargs="?",
            default="",
            help="as typed at sign-in; without it, only the server is tested",
        )
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help="read the user's password from standard input",
        )
        parser.add_argument("--no-password", action="store_true", help="skip the password check")

    def act(self, **options: Any) -> None:
        config = settings.LDAP
        if config is None:
            failure = Failures.NOT_CONFIGURED.value
            raise CommandError(f"{failure.text} {failure.fix}")
        password = _password(options) if options["username"] else None
        for step in diagnose(config, options["username"], password):
            self._print(step)
        self.stdout.write(self.style.SUCCESS("All steps succeeded."))

    def _print(self, step: Step) -> None:
        """Raises CommandError for a step that failed."""
        if step.failure is None:
            self.stdout.write(f"{step.name:<16} ok    {step.text}")
            return
        failure = step.failure.value
        detail = f" ({step.text})" if step.text else ""
        self.stdout.write(f"{step.name:<16} WRONG {failure.text}{detail}")
        raise CommandError(f"{failure.text} {failure.fix}")


def _password(options: dict[str, Any]) -> str | None:
    if options["no_password"]:
        return None
    if options["password_stdin"]:
        return sys.stdin.readline().rstrip("\n")
    return getpass.getpass("Password in the directory: ") if sys.stdin.isatty() else None
