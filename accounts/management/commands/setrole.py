"""`manage.py setrole LOGIN ROLE`"""

from typing import Any

from django.core.management import CommandError, CommandParser

from accounts.actors import SYSTEM
from accounts.commands import AccountCommand
from accounts.roles import Role
from accounts.services.users import change_role


class Command(AccountCommand):
    """Change the role of an account."""

    help = (
        "Change the role of an account. Ends its sessions. The last active owner cannot be "
        "demoted. Exits with 1 if the account already has that role."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("login", help="address or user name")
        parser.add_argument("role", choices=[role.value for role in Role])

    def act(self, **options: Any) -> None:
        user = self.find_user(options["login"])
        if user.role == options["role"]:
            raise CommandError(
                f"{user.email} already has the role {user.role}. Nothing was changed."
            )
        before = user.role
        changed = change_role(actor=SYSTEM, user=user, role=options["role"])
        self.stdout.write(f"{changed.email}: {before} -> {changed.role}.")
