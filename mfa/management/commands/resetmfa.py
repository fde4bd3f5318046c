"""`manage.py resetmfa LOGIN`"""

from typing import Any

from django.core.management import CommandParser

from accounts.actors import SYSTEM
from accounts.commands import AccountCommand
from accounts.services.second_factors import reset_factors


class Command(AccountCommand):
    """Remove the second factors of a user."""

    help = (
        "Remove all second factors of an account, after a confirmation: app, passkeys, recovery "
        "codes. For an owner who has lost them all. Ends the sessions of the account and notifies "
        "the user by mail. Safe to repeat: exits with 1 if there is no factor."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("login", help="address or user name")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def act(self, **options: Any) -> None:
        user = self.find_user(options["login"])
        question = f"Remove all second factors of {user.email}?"
        self.ask_yes(question, assume_yes=options["yes"])
        count = reset_factors(actor=SYSTEM, user=user)
        self.stdout.write(f"Removed {count} second factors of {user.email}.")
