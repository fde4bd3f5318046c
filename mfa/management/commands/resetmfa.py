"""`manage.py resetmfa LOGIN`"""

from typing import Any

from django.core.management import CommandParser

from accounts.actors import SYSTEM
from accounts.commands import AccountCommand
from accounts.services.second_factors import reset_factors


class Command(AccountCommand):
    """Take away somebody's second factors."""

    help = (
        "Take away all second factors of an account, after asking: app, passkeys, recovery codes. "
        "The way back in for an owner who has lost them all. Ends its sessions and tells the "
        "person by mail."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("login", help="address or user name")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def act(self, **options: Any) -> None:
        user = self.find_user(options["login"])
        question = f"Take away all second factors of {user.email}?"
        self.ask_yes(question, assume_yes=options["yes"])
        count = reset_factors(actor=SYSTEM, user=user)
        self.stdout.write(f"Took away {count} second factors of {user.email}.")
