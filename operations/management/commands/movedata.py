"""`manage.py movedata`"""

import sys
from time import monotonic
from typing import Any

from django.core.management import CommandParser

from config.environment.urls import hide_password
from operations.command import OperationCommand
from operations.moves import move_to


class Command(OperationCommand):
    """Move everything to another database."""

    help = (
        "Copy everything from the configured database to another, empty one: SQLite to PostgreSQL "
        "or back. Stop the server first. The old database is locked meanwhile and not changed. "
        "Counts, sums of every table and the audit log are checked. A move that was stopped goes "
        "on when it is repeated. Counters of limits start from nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--to",
            required=True,
            metavar="URL",
            help="the new DATABASE_URL; - reads it from standard input, out of sight of others",
        )

    def work(self, **options: Any) -> None:
        begun = monotonic()
        url = sys.stdin.readline().strip() if options["to"] == "-" else options["to"]
        moved = move_to(url, self.stdout, self.say)
        rows = sum(moved.counts.values())
        people = moved.counts.get("accounts_user", 0)
        self.say(f"Moved {rows} rows of {len(moved.counts)} tables, {people} accounts among them,")
        self.say(f"in {monotonic() - begun:.1f} seconds. Counts and sums agree. {moved.audit}")
        self.say("\nWrite this to .env, with the password, and start the server:\n")
        self.say(f"    DATABASE_URL={hide_password(moved.url)}\n")
        self.say("Keep DATA_DIR: its secrets are still needed. The old database was not changed.")
