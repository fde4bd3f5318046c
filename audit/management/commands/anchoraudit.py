"""`manage.py anchoraudit`"""

import json
from typing import Any

from django.conf import settings
from django.core.management import CommandError, CommandParser

from audit import anchors
from core.commands import GatehouseCommand


class Command(GatehouseCommand):
    """Write an anchor of the audit log."""

    help = (
        "Sign the head of the audit log and write it to AUDIT_ANCHOR now, or to standard output "
        "if that is not set. Safe to repeat. Exits with 1 if it cannot be written."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--public-key",
            action="store_true",
            help="only write the key that verifies anchors, as a JWK",
        )

    def act(self, **options: Any) -> None:
        if options["public_key"]:
            self.stdout.write(json.dumps(anchors.public_jwk()))
            return
        anchor = anchors.current_anchor()
        if not anchor.seq:
            raise CommandError("The audit log is empty.")
        if not settings.AUDIT_ANCHOR:
            self.stdout.write(anchors.sign(anchor))
            return
        anchors.write(anchor)
        self.stdout.write(f"Event {anchor.seq} was anchored.")
