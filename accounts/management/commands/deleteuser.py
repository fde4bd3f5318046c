"""`manage.py deleteuser LOGIN`"""

from typing import Any

from django.core.management import CommandParser

from accounts.actors import SYSTEM
from accounts.commands import AccountCommand
from accounts.services.users import delete_user


class Command(AccountCommand):
    """Delete an account permanently."""

    help = (
        "Delete an account and everything that belongs to it, after asking. This cannot be "
        "undone; `disableuser` can. The last active owner cannot be deleted. Exits with 1 if "
        "there is no such account, so it is safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("login", help="address or user name")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def act(self, **options: Any) -> None:
        user = self.find_user(options["login"])
        question = f"Delete {user.email} ({user.role}) for good?"
        self.ask_yes(question, assume_yes=options["yes"])
        delete_user(actor=SYSTEM, user=user)
        self.stdout.write(f"Deleted {user.email}.")
