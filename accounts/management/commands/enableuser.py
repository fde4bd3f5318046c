"""`manage.py enableuser LOGIN`"""

from typing import Any

from django.core.management import CommandError, CommandParser

from accounts.actors import SYSTEM
from accounts.commands import AccountCommand
from accounts.services.users import enable_user


class Command(AccountCommand):
    """Enable a disabled account."""

    help = "Enable a disabled account. Exits with 1 if it is not disabled. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("login", help="address or user name")

    def act(self, **options: Any) -> None:
        user = self.find_user(options["login"])
        if user.is_active:
            raise CommandError(f"{user.email} is not disabled. Nothing was changed.")
        enable_user(actor=SYSTEM, user=user)
        self.stdout.write(f"Enabled {user.email}.")
