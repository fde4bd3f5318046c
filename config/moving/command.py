"""What the commands of this folder share."""

from accounts.commands import GatehouseCommand


class MovingCommand(GatehouseCommand):
    """Needs no system checks: the data may be older than the code, or not there yet."""

    requires_system_checks = ()
    requires_migrations_checks = False

    def say(self, text: str) -> None:
        """One line that is seen at once."""
        self.stdout.write(text)
        self.stdout.flush()
