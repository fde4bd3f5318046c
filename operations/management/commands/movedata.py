"""`manage.py movedata`"""

import sys
from time import monotonic
from typing import Any

from django.core.management import CommandParser

from config.environment.parsing.urls import hide_password
from operations.command import OperationCommand
from operations.transfer import transfer_to


class Command(OperationCommand):
    """Transfer everything to another database."""

    help = (
        "Copy everything from the configured database to another, empty one: SQLite to PostgreSQL "
        "or back. Stop the server first. The old database is locked but not changed. The command "
        "verifies counts and checksums of every table, and the audit log. After an interruption, "
        "repeat it to continue. The counters of rate limits start at zero. Safe to repeat. Exits "
        "with 1 if the copy is not complete."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--to",
            required=True,
            metavar="URL",
            help="the new DATABASE_URL; - reads it from standard input, hidden from other users",
        )

    def work(self, **options: Any) -> None:
        started = monotonic()
        url = sys.stdin.readline().strip() if options["to"] == "-" else options["to"]
        result = transfer_to(url, self.stdout, self.say)
        rows = sum(result.counts.values())
        users = result.counts.get("accounts_user", 0)
        self.say(f"Moved {rows} rows of {len(result.counts)} tables, with {users} accounts,")
        self.say(
            f"in {monotonic() - started:.1f} seconds. Counts and checksums agree. {result.audit}"
        )
        self.say("\nSet this in .env, with the password, and start the server:\n")
        self.say(f"    DATABASE_URL={hide_password(result.url)}\n")
        self.say("Keep DATA_DIR: its secrets are still needed. The old database was not changed.")
