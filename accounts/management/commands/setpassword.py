"""`manage.py setpassword LOGIN`"""

from typing import Any

from django.core.management import CommandParser

from accounts.actors import SYSTEM
from accounts.commands import AccountCommand
from accounts.services.passwords import set_password


class Command(AccountCommand):
    """Set the password of an account."""

    help = (
        "Set the password of an account. Ends its sessions and notifies the user by mail. Safe to "
        "repeat. Exits with 1 if the password is refused or there is no such account."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("login", help="address or user name")
        parser.add_argument(
            "--password-stdin", action="store_true", help="read the password from standard input"
        )

    def act(self, **options: Any) -> None:
        user = self.find_user(options["login"])
        password = self.ask_password(from_stdin=options["password_stdin"])
        set_password(actor=SYSTEM, user=user, new=password)
        self.stdout.write(f"The password of {user.email} is set; its sessions have ended.")
