"""`manage.py upgrade`"""

from typing import Any

from django.core.management import CommandError, CommandParser

from operations.command import OperationCommand
from operations.upgrade.dry_run import DryRunResult, dry_run
from operations.upgrade.guarded import migrate, upgrade

OTHER_KEY = (
    "Use this ENCRYPTION_KEY from now on? Second factors, waiting mail and signing keys that the "
    "other key encrypted are lost."
)


class Command(OperationCommand):
    """Bring the data up to date with the code."""

    help = (
        "Bring the database up to date with this version: write a backup to DATA_DIR/backups, "
        "apply the migrations, collect the static files, and test the result (a sign-in, the key "
        "set, a check of forward auth, doctor). If a step fails, it puts the backup back, exactly "
        "as it was. Stop the server first; it refuses to run beside a server or another upgrade. "
        "Safe to repeat. `serve` does the same at each start, without backup, tests and going "
        "back. Exits with 1 if a step fails."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--no-backup",
            action="store_true",
            help="only migrate: make no backup, test nothing, go back to nothing",
        )
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
        carry_out = migrate if options["no_backup"] else upgrade
        prepared = carry_out(self.say, other_key=options["other_key"])
        if prepared.revoked is not None:
            self.say(prepared.revoked.describe())
        if not prepared.migrations:
            self.say("The database is up to date already.")

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
