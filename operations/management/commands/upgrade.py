"""`manage.py upgrade`"""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError, CommandParser
from django.db import connection

from operations.backup.create import back_up, stamp
from operations.command import OperationCommand
from operations.upgrade.dry_run import DryRunResult, dry_run
from operations.upgrade.prepare import pending_migrations, prepare

OTHER_KEY = (
    "Use this ENCRYPTION_KEY from now on? Second factors, waiting mail and signing keys that the "
    "other key encrypted are lost."
)


class Command(OperationCommand):
    """Bring the data up to date with the code."""

    help = (
        "Bring the database up to date with this version: write a backup to DATA_DIR/backups, "
        "apply the migrations, collect the static files. Only one process does this at a time; "
        "others wait. Safe to repeat. `serve` does the same at each start, without the backup. "
        "Exits with 1 if a step fails."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-backup", action="store_true", help="make no backup")
        parser.add_argument(
            "--other-key",
            action="store_true",
            help="continue although ENCRYPTION_KEY differs: what the other key encrypted is lost",
        )
        parser.add_argument("--yes", action="store_true", help="do not ask before --other-key")
        parser.add_argument(
            "--rehearse",
            action="store_true",
            help="dry run on a copy, also while the server runs; exits with 1 if it fails",
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
            self.say(prepared.revoked.describe())
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
