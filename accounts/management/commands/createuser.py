"""`manage.py createuser EMAIL`"""

from typing import Any

from django.core.management import CommandError, CommandParser

from accounts.actors import SYSTEM
from accounts.commands import END_HELP, AccountCommand, describe_role
from accounts.roles import Role
from accounts.services.end_dates import audit_time
from accounts.services.users import create_user


class Command(AccountCommand):
    """Create an account, also while registration is closed."""

    help = (
        "Create an account, also while registration is closed. Without --password or "
        "--password-stdin the account has no password: sign in with a link (see `magiclink`). The "
        "address counts as verified unless you add --unverified. A second run changes nothing and "
        "exits with 1, because the address is taken."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="the address, which must be free")
        parser.add_argument(
            "--role",
            choices=[role.value for role in Role],
            default=Role.VIEWER,
            help="viewer by default",
        )
        parser.add_argument("--until", metavar="WHEN", help=f"when the access ends: {END_HELP}")
        parser.add_argument("--role-until", metavar="WHEN", help="when the role ends, likewise")
        parser.add_argument(
            "--then",
            default="",
            choices=[role.value for role in Role if role != Role.OWNER],
            help="the lower role that follows; with --role-until",
        )
        parser.add_argument("--name", default="", help="as others see it")
        parser.add_argument("--username", help="also for signing in")
        parser.add_argument("--password", action="store_true", help="ask for a password")
        parser.add_argument(
            "--password-stdin", action="store_true", help="read the password from standard input"
        )
        parser.add_argument(
            "--unverified",
            action="store_true",
            help="the user has to verify the address before signing in",
        )
        parser.add_argument(
            "--verified", action="store_true", help="the default, for scripts that pass it"
        )

    def act(self, **options: Any) -> None:
        if options["verified"] and options["unverified"]:
            raise CommandError("Use either --verified or --unverified.")
        password = None
        if options["password"] or options["password_stdin"]:
            password = self.ask_password(from_stdin=options["password_stdin"])
        user = create_user(
            actor=SYSTEM,
            email=options["email"],
            role=options["role"],
            name=options["name"],
            username=options["username"],
            password=password,
            verified=not options["unverified"],
            source="command",
            expires_at=self.parse_end("--until", options["until"]),
            role_until=self.parse_end("--role-until", options["role_until"]),
            role_after=options["then"],
        )
        end = f"; access until {audit_time(user.expires_at)}" if user.expires_at else ""
        self.stdout.write(f"Created {user.email} ({describe_role(user)}){end}.")
