"""`manage.py disableuser LOGIN`"""

from typing import Any

from django.core.management import CommandError, CommandParser

from accounts.actors import SYSTEM
from accounts.commands import AccountCommand
from accounts.services.users import disable_user


class Command(AccountCommand):
    """Disable an account."""

    help = (
        "Disable an account: it cannot sign in, and its sessions and tokens end. `enableuser` "
        "undoes it. The last active owner cannot be disabled. Exits with 1 if it is disabled "
        "already, so it is safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("login", help="address or user name")
        parser.add_argument("--reason", default="", help="stored in the audit log")

    def act(self, **options: Any) -> None:
        user = self.find_user(options["login"])
        if not user.is_active:
            raise CommandError(f"{user.email} is already disabled. Nothing was changed.")
        disable_user(actor=SYSTEM, user=user, reason=options["reason"])
        self.stdout.write(f"Disabled {user.email}.")
