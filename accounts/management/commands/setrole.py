"""`manage.py setrole LOGIN ROLE`"""

from typing import Any

from django.core.management import CommandError, CommandParser

from accounts.actors import SYSTEM
from accounts.commands import END_HELP, AccountCommand, describe_role
from accounts.roles import Role
from accounts.services.users import change_role


class Command(AccountCommand):
    """Change the role of an account."""

    help = (
        "Change the role of an account, for good or until a time. Another role ends its sessions. "
        "The last active owner without an end cannot be demoted. Exits with 1 if the account "
        "already has that role until that time. Safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("login", help="address or user name")
        parser.add_argument("role", choices=[role.value for role in Role], help="the new role")
        parser.add_argument("--until", metavar="WHEN", help=f"when the role ends: {END_HELP}")
        parser.add_argument(
            "--then",
            default="",
            choices=[role.value for role in Role if role != Role.OWNER],
            help="the lower role that follows; with --until",
        )

    def act(self, **options: Any) -> None:
        user = self.find_user(options["login"])
        until, then = self.parse_end("--until", options["until"]), options["then"]
        if (user.role, user.role_until, user.role_after) == (options["role"], until, then):
            raise CommandError(
                f"{user.email} already has the role {user.role}. Nothing was changed."
            )
        before = user.role
        changed = change_role(actor=SYSTEM, user=user, role=options["role"], until=until, then=then)
        self.stdout.write(f"{changed.email}: {before} -> {describe_role(changed)}.")
