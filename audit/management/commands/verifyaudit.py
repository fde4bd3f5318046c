"""`manage.py verifyaudit`"""

from pathlib import Path
from typing import Any

from django.core.management import CommandError, CommandParser

from audit import anchors, audit_log
from core.commands import GatehouseCommand


class Command(GatehouseCommand):
    """Verify the hash chain of the audit log."""

    help = (
        "Check that no row of the audit log has been changed, removed, reordered or cut off. "
        "Reads only. Exits with 1 and names the first wrong row."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--anchors",
            type=Path,
            metavar="FILE",
            help="compare with these anchors, which also finds a log that was rewritten as a whole",
        )
        parser.add_argument(
            "--key",
            type=Path,
            metavar="FILE",
            help="the public key of the anchors, if ENCRYPTION_KEY has changed since",
        )

    def act(self, **options: Any) -> None:
        anchored = {}
        if options["anchors"]:
            key = anchors.read_key(options["key"]) if options["key"] else None
            anchored = anchors.read_anchors(options["anchors"], key)
        elif options["key"]:
            raise CommandError("--key needs --anchors.")
        result = audit_log.verify(anchored)
        if result.broken_at is not None:
            raise CommandError(
                f"The audit log is broken at row {result.broken_at}: {result.reason}."
            )
        compared = f" They agree with {len(anchored)} anchors." if anchored else ""
        self.stdout.write(f"The audit log is intact: {result.checked} rows.{compared}")
