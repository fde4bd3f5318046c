"""`manage.py doctor`"""

import json
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser

from operations.doctor import Finding, examine


class Command(BaseCommand):
    """Print every effective setting, its source, and all problems."""

    help = (
        "Print the settings with their sources, then the problems of this instance: misspelt "
        "names, servers that do not respond, wrong proxy settings, insecure cookies. Changes "
        "nothing. Exits with 1 if something does not work."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--all", action="store_true", help="include settings with their default value"
        )
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *_args: Any, **options: Any) -> None:
        rows = settings.ENV.describe()
        shown = [row for row in rows if options["all"] or row.source != "default"]
        if options["json"]:
            self._print_json(shown)
            return
        self.stdout.write(f"{len(rows)} settings, {len(shown)} shown:\n\n")
        for row in shown:
            self.stdout.write(f"  {row.name} = {row.value}\n      from {row.source}\n")
            if row.note:
                self.stdout.write(f"      {row.note}\n")
        self._print_effects()
        found = examine()
        self.stdout.write("\n")
        for finding in found:
            self.stdout.write(f"{finding.level.upper():<8} {finding.text}\n")
            if finding.fix:
                self.stdout.write(f"         {finding.fix}\n")
        if not found:
            self.stdout.write("No problems found.\n")
        _fail_for_errors(found)

    def _print_json(self, settings_shown: Any) -> None:
        """The settings, then the findings, each with its `kind`."""
        for row in settings_shown:
            told = {"name": row.name, "value": row.value, "source": row.source, "note": row.note}
            self.stdout.write(json.dumps({"kind": "setting"} | told))
        found = examine()
        for finding in found:
            told = {"level": finding.level, "text": str(finding.text), "fix": str(finding.fix)}
            self.stdout.write(json.dumps({"kind": "finding"} | told))
        _fail_for_errors(found)

    def _print_effects(self) -> None:
        """Print what each line of .env and each setting in the environment did."""
        if settings.ENV.lines:
            self.stdout.write("\nLines of .env:\n\n")
        for line in settings.ENV.lines:
            self.stdout.write(f"  {line.number:>4} {line.name} {line.what}\n")
        if settings.ENV.names:
            self.stdout.write("\nSettings in the environment:\n\n")
        for given in settings.ENV.names:
            self.stdout.write(f"       {given.name} {given.what}\n")


def _fail_for_errors(found: list[Finding]) -> None:
    errors = sum(finding.level == "error" for finding in found)
    if errors:
        raise CommandError(f"{errors} of these must be fixed.")
