"""`manage.py rescue LOGIN`"""

from typing import Any

from django.core.management import CommandParser
from django.utils.formats import date_format

from accounts.commands import AccountCommand, describe_role
from accounts.models import User
from operations.rescue import RescueOptions, check_options, find_hints, find_obstacles, rescue


class Command(AccountCommand):
    """Let a person in again who is locked out."""

    help = (
        "Show everything that keeps a person from signing in. After a confirmation, mend it and "
        "print a link that signs them in once within 15 minutes: enables the account, lifts its "
        "bans, removes its end and its second factors. For an owner who is locked out; it works "
        "without mail, directory and providers. Safe to repeat: each link replaces the older ones. "
        "Exits with 1 if there is no such account or nothing was confirmed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("login", metavar="LOGIN", help="address or user name")
        parser.add_argument("--owner", action="store_true", help="make them owner, without an end")
        parser.add_argument(
            "--keep-factors",
            action="store_true",
            help="keep the second factors: they still have their phone, passkey or recovery codes",
        )
        parser.add_argument(
            "--network",
            default="",
            metavar="ADDRESS",
            help="also lift the ban of the network with this IP address, for all who use it",
        )
        parser.add_argument("--password", action="store_true", help="ask for a new password, too")
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help="read the new password from standard input",
        )
        parser.add_argument("--dry-run", action="store_true", help="show it, and change nothing")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def act(self, **options: Any) -> None:
        user = self.find_user(options["login"])
        wanted = self._options(options)
        check_options(user, wanted)
        self._show(user, wanted)
        if options["dry_run"]:
            self.stderr.write("Nothing was changed.")
            return
        question = f"Mend this, and print a link that signs in as {user.email}?"
        self.ask_yes(question, assume_yes=options["yes"])
        done = rescue(user, wanted)
        self.stdout.write(done.url)
        self.stderr.write(
            f"For {user.email}; works once, until {date_format(done.expires_at, 'c')}. "
            "It is not shown again."
        )

    def _options(self, options: dict[str, Any]) -> RescueOptions:
        password = None
        if options["password"] or options["password_stdin"]:
            password = self.ask_password(from_stdin=options["password_stdin"])
        return RescueOptions(
            make_owner=options["owner"],
            keep_factors=options["keep_factors"],
            network=options["network"],
            password=password,
        )

    def _show(self, user: User, wanted: RescueOptions) -> None:
        """On standard error, so that standard output is the link alone."""
        self.stderr.write(f"{user.email}, {describe_role(user)}:")
        found = find_obstacles(user, wanted)
        for obstacle in found:
            self.stderr.write(f"- {obstacle.text} -> {obstacle.remedy}")
        if not found:
            self.stderr.write("- Nothing about the account keeps them out.")
        for hint in find_hints(user, wanted):
            self.stderr.write(f"  Note: {hint}")
