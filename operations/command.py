"""What the commands of this folder share."""

from typing import Any

from django.core.management import CommandError

from core.commands import GatehouseCommand
from operations.errors import SecretsReplaced
from operations.subprocesses import start_again


class OperationCommand(GatehouseCommand):
    """Needs no system checks: the data may be older than the code, or not there yet."""

    requires_system_checks = ()
    requires_migrations_checks = False
    # Some of these commands mend just that.
    uses_encryption_key = False

    def act(self, **options: Any) -> None:
        """Run work(), by a new process when a cut-off restore had to be finished first."""
        try:
            self.work(**options)
        except SecretsReplaced as error:
            self.say(error.message)
            start_again()

    def work(self, **options: Any) -> None:
        """The command's work, in each child."""
        raise CommandError("this command does nothing")

    def say(self, text: str) -> None:
        """One line that is seen at once."""
        self.stdout.write(text)
        self.stdout.flush()
