"""`manage.py restore`"""

from pathlib import Path
from typing import Any

from django.core.management import CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from core.text.time_display import spoken_moment
from operations.backup.archive import read_manifest
from operations.backup.restore import RestoreOptions, check_manifest, restore
from operations.command import OperationCommand
from operations.locks import require_stopped
from operations.subprocesses import manage

QUESTION = "Replace the current data by this backup, and sign out all users?"


class Command(OperationCommand):
    """Restore a backup."""

    help = (
        "Restore a backup, after asking. Stop the server first. The current data is kept in a "
        "folder of DATA_DIR, whose name is printed. All users are signed out; older sessions, "
        "tokens, links and API keys become invalid, so that nothing revoked since works again. "
        "Safe to repeat: each run keeps the data of before. Exits with 1 if nothing was restored."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="what `backup` has written")
        parser.add_argument(
            "--keep-keys",
            action="store_true",
            help="keep API keys valid; one that was revoked since the backup works again",
        )
        parser.add_argument(
            "--other-key",
            action="store_true",
            help="continue although ENCRYPTION_KEY differs: what the other key encrypted is lost",
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def work(self, **options: Any) -> None:
        wanted = RestoreOptions(
            Path(options["file"]).absolute(), options["keep_keys"], options["other_key"]
        )
        manifest = read_manifest(wanted.file)
        check_manifest(manifest)
        require_stopped()
        self.say(f"Backup of {manifest.made_at}{_ago(manifest.made_at)}: {manifest.describe()}.")
        self.ask_yes(QUESTION, assume_yes=options["yes"])
        aside = restore(wanted, manifest, self.say)
        self.say(f"The old data is kept in {aside}")
        # A subprocess, because the secrets may have changed.
        self.say(manage("upgrade", "--no-backup"))
        self.say("Restored. Start the server.")


def _ago(text: str) -> str:
    made_at = parse_datetime(text)
    return f" ({spoken_moment(made_at, timezone.now())})" if made_at else ""
