"""`manage.py syncldap`"""

import argparse
from typing import Any

from django.conf import settings
from django.core.management import CommandError, CommandParser

from core.commands import GatehouseCommand
from federation.ldap import sync
from federation.ldap.failures import DirectoryError, Failures
from federation.ldap.sync import Change, Plan, SyncResult

SHOWN = 50
BAR = 30


class Command(GatehouseCommand):
    """Synchronize accounts with the directory."""

    help = (
        "Compare accounts of the directory (LDAP) with it: disables users who were removed or no "
        "longer match the authorization filter, and updates roles by LDAP_ROLES_MAPPING and "
        "groups by LDAP_GROUPS_MAPPING. Shows the changes; --apply makes them, "
        "--undo reverts the last run. Exits with 1, without a change, if more than --max-percent "
        "would be disabled or the directory fails. Safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--apply", action="store_true", help="make the changes")
        what.add_argument("--undo", action="store_true", help="revert the last run")
        parser.add_argument(
            "--max-percent",
            type=_percent,
            default=10.0,
            metavar="N",
            help="the most accounts that may be disabled at once, in percent; 10 by default",
        )

    def act(self, **options: Any) -> None:
        if options["undo"]:
            self._report_undone(sync.undo())
            return
        planned = self._plan()
        self._show(planned)
        planned.check_cap(options["max_percent"])
        if options["apply"]:
            bar = _Bar(self, len(planned.disables) + len(planned.roles) + len(planned.groups))
            self._report_applied(sync.apply(planned, bar.add))
        elif not planned.is_empty:
            self.stdout.write(
                "Nothing was changed. Run it again with --apply to make these changes."
            )

    def _plan(self) -> Plan:
        bar = _Bar(self, 0)
        config = settings.LDAP
        if config is None:
            failure = Failures.NOT_CONFIGURED.value
            raise CommandError(f"{failure.text} {failure.fix}")
        try:
            return sync.plan(config, progress=bar.add)
        except DirectoryError as error:
            failure = error.failure.value
            detail = f" ({error.detail})" if error.detail else ""
            message = f"{failure.text}{detail} {failure.fix} Nothing was done."
            raise CommandError(message) from error
        finally:
            bar.end()

    def _show(self, planned: Plan) -> None:
        self.stdout.write(f"{planned.total} active accounts, {planned.found} in the directory.")
        for title, changes in (("disable", planned.disables), ("role", planned.roles)):
            for change in changes[:SHOWN]:
                self.stdout.write(f"  {title:<8} {change.user.email}: {_description(change)}")
            if len(changes) > SHOWN:
                self.stdout.write(f"  {title:<8} and {len(changes) - SHOWN} more")
        for update in planned.profiles[:SHOWN]:
            fields = " and ".join(update.fields)
            self.stdout.write(f"  profile  {update.identity.user.email}: {fields} changed there")
        for moved in planned.groups[:SHOWN]:
            names = ", ".join(sorted(moved.mapped.names)) or "none"
            self.stdout.write(f"  groups   {moved.identity.user.email}: {names}")
        if planned.is_empty:
            self.stdout.write("No changes needed.")

    def _report_applied(self, outcome: SyncResult) -> None:
        self.stdout.write(
            f"{outcome.disabled} disabled, {outcome.roles} roles changed"
            + (f", {outcome.profiles} addresses or names updated" if outcome.profiles else "")
            + (f", groups of {outcome.groups} people updated" if outcome.groups else "")
            + (f", {outcome.kept} kept as the last owner" if outcome.kept else "")
            + "."
        )
        if outcome.run:
            self.stdout.write("`manage.py syncldap --undo` reverts this run.")

    def _report_undone(self, outcome: SyncResult) -> None:
        self.stdout.write(
            f"{outcome.disabled} enabled again, {outcome.roles} roles restored. "
            "Users who were changed since then stay as they are."
        )


class _Bar:
    """A progress bar on a terminal, silent elsewhere. total 0: unknown."""

    def __init__(self, command: Command, total: int) -> None:
        self._out, self._total, self._done = command.stderr, total, 0

    def add(self, count: int) -> None:
        """`count` more are done."""
        self._done += count
        if self._out.isatty():
            self._out.write(f"\r{self._line()}", ending="")

    def end(self) -> None:
        if self._done and self._out.isatty():
            self._out.write("")

    def _line(self) -> str:
        if not self._total:
            return f"{self._done} entries read"
        filled = BAR * self._done // self._total
        return f"[{'#' * filled}{'.' * (BAR - filled)}] {self._done} of {self._total}"


def _description(change: Change) -> str:
    if change.role is None:
        return change.reason
    return f"{change.user.role} -> {change.role} ({change.reason})"


def _percent(text: str) -> float:
    try:
        percent = float(text)
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise argparse.ArgumentTypeError("write a number from 0 to 100")
    return percent
