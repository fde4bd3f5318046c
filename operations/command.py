"""The base of the commands of this app."""

from typing import Any

from django.core.management import CommandError

from core.commands import GatehouseCommand
from operations.errors import SecretsReplaced
from operations.subprocesses import start_again


class OperationCommand(GatehouseCommand):
    """Runs no system checks, because the data may be older than the code, or not exist yet."""

    requires_system_checks = ()
    requires_migrations_checks = False
    # Some of these commands repair exactly this.
    uses_encryption_key = False

    def act(self, **options: Any) -> None:
        """Run work(); restart the process if an interrupted restore was finished first."""
        try:
            self.work(**options)
        except SecretsReplaced as error:
            self.say(error.message)
            start_again()

    def work(self, **options: Any) -> None:
        """The work of the command; subclasses override it."""
        raise CommandError("this command does nothing")

    def say(self, text: str) -> None:
        """Print one line and flush."""
        self.stdout.write(text)
        self.stdout.flush()
