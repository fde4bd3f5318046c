"""`manage.py upgrade`"""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError, CommandParser
from django.db import connection

from operations.backup import back_up, stamp
from operations.command import OperationCommand
from operations.dry_run import DryRunResult, dry_run
from operations.messages import describe_revoked
from operations.prepare import pending_migrations, prepare

OTHER_KEY = (
    "Use this ENCRYPTION_KEY from now on? Second factors, waiting mail and signing keys that the "
    "other key encrypted are lost."
)


class Command(OperationCommand):
    """Bring the data up to date with the code."""

    help = (
        "Bring the database up to date with this version: a backup into DATA_DIR/backups, the "
        "migrations (one process at a time, however many ask), static files. Repeating it does "
        "nothing more. A start with `serve` does the same without the backup."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-backup", action="store_true", help="make no backup before")
        parser.add_argument(
            "--other-key",
            action="store_true",
            help="go on although another ENCRYPTION_KEY encrypted the database: what it encrypted "
            "is lost",
        )
        parser.add_argument("--yes", action="store_true", help="do not ask before --other-key")
        parser.add_argument(
            "--rehearse",
            action="store_true",
            help="only try it on a copy, also while the server runs; exits with 1 when it fails",
        )

    def work(self, **options: Any) -> None:
        if options["rehearse"]:
            self.report_dry_run(dry_run())
            return
        if options["other_key"]:
            self.ask_yes(OTHER_KEY, assume_yes=options["yes"])
        if pending_migrations() and not options["no_backup"]:
            self.back_up()
        prepared = prepare(self.say, other_key=options["other_key"])
        if prepared.revoked is not None:
            self.say(describe_revoked(prepared.revoked))
        for name in prepared.migrations:
            self.say(f"applied {name}")
        if not prepared.migrations:
            self.say("The database is up to date already.")

    def back_up(self) -> None:
        """Back up what the migrations will change; nothing for an empty database."""
        if "django_migrations" not in connection.introspection.table_names():
            return
        folder = Path(settings.DATA_DIR) / "backups"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / f"before-upgrade-{stamp()}.tar"
        back_up(file)
        self.say(f"Backup: {file}")
        self.say(f"To go back: install the old code, then run `manage.py restore {file}`.")

    def report_dry_run(self, found: DryRunResult) -> None:
        """Report times, locks and tests. Raises CommandError if a test failed."""
        self.say(f"Copied the database in {found.copied_in:.1f} seconds.")
        for one in found.migrations:
            blocked = "; ".join(one["effects"]) or "blocks nothing"
            self.say(f"{one['seconds']:8.2f} s  {one['name']}: {blocked}")
        if not found.migrations:
            self.say("There are no migrations to apply.")
        for one in found.checks:
            result = "passed" if one["passed"] else "FAILED"
            self.say(f"{one['seconds']:8.2f} s  {result}: {one['name']} ({one['detail']})")
        self.say("The copy was deleted. Nothing was changed.")
        failed = [one["name"] for one in found.checks if not one["passed"]]
        if failed:
            raise CommandError(f"Do not upgrade yet. Failed on the copy: {', '.join(failed)}.")
        self.say("`manage.py upgrade` makes a backup first and prints its name.")
        self.say("To go back: install the old code, then run `manage.py restore` with that backup.")
