"""`manage.py setexpiry LOGIN`"""

from typing import Any

from django.core.management import CommandError, CommandParser

from accounts.actors import SYSTEM
from accounts.commands import END_HELP, AccountCommand
from accounts.services.end_dates import audit_time
from accounts.services.users import set_expiry


class Command(AccountCommand):
    """Set when the access of an account ends."""

    help = (
        "Set when the access of an account ends by itself, or remove that end. The last active "
        "owner without an end cannot get one. Exits with 1 if nothing changes. Safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("login", help="address or user name")
        choice = parser.add_mutually_exclusive_group(required=True)
        choice.add_argument("--until", metavar="WHEN", help=f"when the access ends: {END_HELP}")
        choice.add_argument("--never", action="store_true", help="remove the end")

    def act(self, **options: Any) -> None:
        user = self.find_user(options["login"])
        expires_at = self.parse_end("--until", options["until"])
        if user.expires_at == expires_at:
            end = "this end" if expires_at else "no end"
            raise CommandError(f"{user.email} already has {end}. Nothing was changed.")
        set_expiry(actor=SYSTEM, user=user, expires_at=expires_at)
        end = "no end" if expires_at is None else f"until {audit_time(expires_at)}"
        self.stdout.write(f"{user.email}: access {end}.")
