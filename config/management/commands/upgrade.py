"""`manage.py upgrade`"""

from typing import Any

from django.core.management import CommandParser

from config.moving.command import MovingCommand
from config.moving.preparing import pending_migrations, prepare
from config.moving.telling import told


class Command(MovingCommand):
    """Bring the data up to date with the code."""

    help = (
        "Bring the database up to date with this version: a backup into DATA_DIR/backups, the "
        "migrations (one process at a time, however many ask), static files. Repeating it does "
        "nothing more. A start with `serve` does the same without the backup."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-backup", action="store_true", help="make no backup before")

    def act(self, **options: Any) -> None:
        missing = pending_migrations()
        prepared = prepare(self.say)
        if prepared.revoked is not None:
            self.say(told(prepared.revoked))
        for name in prepared.migrations:
            self.say(f"applied {name}")
        if not missing:
            self.say("The database was up to date already.")
