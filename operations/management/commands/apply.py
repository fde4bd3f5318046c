"""`manage.py apply FILE`"""

import sys
from pathlib import Path
from typing import Any

from django.core.management import CommandError, CommandParser

from core.commands import GatehouseCommand
from core.text.plain_text import printable
from operations.as_code.apply import (
    ConfigurationInvalid,
    Options,
    Outcome,
    apply_configuration,
    plan_configuration,
)
from operations.as_code.changes import diff_lines
from operations.as_code.document import MAX_BYTES

# As other tools that plan: nothing to do is 0, an error 1.
CHANGES = 2
# Of the objects that a file does not name any more, how many are listed.
MAX_LEFT = 20


class Command(GatehouseCommand):
    """Make the instance be as a file says."""

    help = (
        "Make apps, scopes, access rules, groups, first people, service accounts, webhooks and "
        "the appearance be as a file says, in one transaction. What the file does not name is left "
        "alone. With --plan it shows the differences, changes nothing, and exits with 2 if there "
        "are any. Exits with 1 if something is wrong in the file; nothing is changed then. Safe to "
        "repeat: a second time nothing changes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="YAML or JSON; - for standard input")
        parser.add_argument(
            "--plan", action="store_true", help="show what would change, and change nothing"
        )
        parser.add_argument(
            "--prune",
            action="store_true",
            help="also remove what an earlier file named and this one does not: objects are "
            "deleted, accounts that it has made are disabled",
        )
        parser.add_argument(
            "--allow-owners", action="store_true", help="let the file make people owners"
        )
        parser.add_argument(
            "--yes", action="store_true", help="do not ask before something is removed"
        )

    def act(self, **options: Any) -> None:
        name = options["file"]
        content = _read(name)
        wanted = Options(
            folder=Path.cwd() if name == "-" else Path(name).resolve().parent,
            prunes=options["prune"],
            allows_owners=options["allow_owners"],
        )
        try:
            if options["plan"]:
                self._plan(plan_configuration(content, wanted), options)
                return
            if wanted.prunes:
                self._ask(plan_configuration(content, wanted), options)
            self._done(apply_configuration(content, wanted), options)
        except ConfigurationInvalid as error:
            self._fail(printable(name), error)

    def _plan(self, outcome: Outcome, options: dict[str, Any]) -> None:
        self._tell(outcome, options)
        if not outcome.changes:
            self.stdout.write("No changes needed.")
            return
        self.stdout.write(f"Plan: {_counts(outcome, '{} to create, {} to change, {} to remove')}.")
        sys.exit(CHANGES)

    def _ask(self, outcome: Outcome, options: dict[str, Any]) -> None:
        removed = [each for each in outcome.changes if each.action == "remove"]
        if not removed or options["yes"]:
            return
        for line in diff_lines(removed):
            self.stdout.write(line)
        number = "this object" if len(removed) == 1 else f"these {len(removed)} objects"
        self.ask_yes(f"Remove {number}?", assume_yes=options["yes"])

    def _done(self, outcome: Outcome, options: dict[str, Any]) -> None:
        self._tell(outcome, options)
        if outcome.changes:
            self.stdout.write(f"Applied: {_counts(outcome, '{} created, {} changed, {} removed')}.")
        else:
            self.stdout.write("No changes needed.")

    def _tell(self, outcome: Outcome, options: dict[str, Any]) -> None:
        for line in diff_lines(outcome.changes):
            self.stdout.write(line)
        if outcome.left:
            self.stdout.write("No longer in the file, and removed by --prune:")
        for each in outcome.left[:MAX_LEFT]:
            self.stdout.write(f"    {printable(each)}")
        if len(outcome.left) > MAX_LEFT:
            self.stdout.write(f"    and {len(outcome.left) - MAX_LEFT} more")

    def _fail(self, name: str, error: ConfigurationInvalid) -> None:
        for each in error.problems:
            line = f":{each.line}" if each.line else ""
            path = f" {each.path}:" if each.path else ""
            self.stderr.write(printable(f"{name}{line}:{path} {each.message}."))
        count = len(error.problems)
        number = "1 problem" if count == 1 else f"{count} problems"
        raise CommandError(f"{number} in {name}. Nothing was changed.")


def _read(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    try:
        with Path(name).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{printable(name)} cannot be read: {error.strerror}.") from None


def _counts(outcome: Outcome, text: str) -> str:
    actions = [change.action for change in outcome.changes]
    return text.format(*(actions.count(action) for action in ("create", "change", "remove")))
