"""`manage.py restore`"""

from pathlib import Path
from typing import Any

from django.core.management import CommandParser
from django.utils.dateparse import parse_datetime
from django.utils.timesince import timesince

from operations.archive import read_manifest
from operations.command import OperationCommand
from operations.locks import require_stopped
from operations.management.commands.backup import describe
from operations.restore import Wish, check_manifest, restore
from operations.subprocesses import manage

QUESTION = "Replace what is here by this backup, and sign everybody out?"


class Command(OperationCommand):
    """Bring a backup back."""

    help = (
        "Bring a backup back, after asking. Stop the server first. What is here is kept in a "
        "folder of DATA_DIR that is named. Everybody is signed out; sessions, tokens, links and "
        "API keys of the past are dead, so that nothing that was revoked since comes to life."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE")
        parser.add_argument(
            "--keep-keys",
            action="store_true",
            help="API keys go on; one that was revoked since the backup works again",
        )
        parser.add_argument(
            "--other-key",
            action="store_true",
            help="go on although ENCRYPTION_KEY is another one: what it sealed is lost",
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def work(self, **options: Any) -> None:
        wish = Wish(Path(options["file"]).absolute(), options["keep_keys"], options["other_key"])
        manifest = read_manifest(wish.file)
        check_manifest(manifest)
        require_stopped()
        self.say(f"Backup of {manifest.made_at}{_ago(manifest.made_at)}: {describe(manifest)}.")
        self.ask_yes(QUESTION, assume_yes=options["yes"])
        aside = restore(wish, manifest, self.say)
        self.say(f"What was here is kept in {aside}")
        # A process of its own: the secrets may be other ones now.
        self.say(manage("upgrade", "--no-backup"))
        self.say("Restored. Start the server.")


def _ago(text: str) -> str:
    made_at = parse_datetime(text)
    return f" ({timesince(made_at)} ago)" if made_at else ""
