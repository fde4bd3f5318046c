"""`manage.py export`"""

from typing import Any

from django.core.management import CommandParser

from core.commands import GatehouseCommand
from operations.as_code.export import export_configuration
from operations.as_code.schema import schema_text


class Command(GatehouseCommand):
    """Write the present state as a file for `apply`."""

    help = (
        "Write apps, access rules, groups, service accounts, webhooks and the appearance as the "
        "file that apply reads, to standard output. Secrets are not in it. Of people it has those "
        "whom other objects name. Changes nothing. Exits with 1 if there is more than a file may "
        "have."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--people", action="store_true", help="write everyone's address, role and groups"
        )
        parser.add_argument(
            "--schema",
            action="store_true",
            help="write the JSON Schema instead, by which editors check the file",
        )

    def act(self, **options: Any) -> None:
        if options["schema"]:
            self.stdout.write(schema_text(), ending="")
        else:
            self.stdout.write(export_configuration(all_people=options["people"]), ending="")
