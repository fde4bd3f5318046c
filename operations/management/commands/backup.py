"""`manage.py backup`"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from django.core.management import CommandParser
from django.db import DatabaseError

from operations.backup.create import back_up
from operations.checks import note_backup
from operations.command import OperationCommand


class Command(OperationCommand):
    """Write a backup of the instance to one file."""

    help = (
        "Write one tar file with the database and the secrets and keys of DATA_DIR, while the "
        "server runs. Only its owner may read it (mode 600). PostgreSQL needs pg_dump here. "
        "`restore` restores it. Safe to repeat with another FILE: one that exists is refused. "
        "Exits with 1 if nothing was written."
    )

    uses_encryption_key = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="must not exist yet")
        parser.add_argument(
            "--without-secrets",
            action="store_true",
            help="leave out the secrets of DATA_DIR; a restore needs them, so keep them elsewhere",
        )

    def work(self, **options: Any) -> None:
        file = Path(options["file"]).absolute()
        manifest = back_up(file, with_secrets=not options["without_secrets"])
        with suppress(DatabaseError):  # the backup is complete, whatever the counters say
            note_backup()
        megabytes = file.stat().st_size / 1_000_000
        self.say(f"Wrote {file}: {megabytes:.1f} MB, {manifest.describe()}.")
        if manifest.has_secrets:
            self.say("It contains secrets. Store it where only you can read it.")
        else:
            self.say("It contains no secrets. Keep a copy of DATA_DIR/secrets too.")
        if manifest.outside:
            names = ", ".join(manifest.outside)
            self.say(
                f"Not included, because they come from the environment: {names}. Keep them too."
            )
