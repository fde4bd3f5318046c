"""`manage.py inviteuser EMAIL`"""

from datetime import timedelta
from typing import Any

from django.core.management import CommandError, CommandParser
from django.utils.formats import date_format

from accounts.actors import SYSTEM
from accounts.roles import Role
from accounts.services.invitations import LIFETIME, IssuedInvitation, invite
from core.commands import GatehouseCommand

HOUR = timedelta(hours=1)


class Command(GatehouseCommand):
    """Invite an address, also while registration is closed."""

    help = (
        "Print a new link with which the owner of an address creates an account. It is mailed as "
        "well if a mail service is configured. It replaces older invitations of the address."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--role", choices=[role.value for role in Role], default=Role.VIEWER)
        parser.add_argument("--name", default="", help="initial value of the name in the form")
        parser.add_argument(
            "--hours",
            type=int,
            default=LIFETIME // HOUR,
            metavar="HOURS",
            help="how long it works: 1 to 720 hours (default: 168)",
        )

    def act(self, **options: Any) -> None:
        try:
            lifetime = timedelta(hours=options["hours"])
        except OverflowError as error:
            raise CommandError("lifetime: Choose between 1 and 720 hours.") from error
        issued = invite(
            actor=SYSTEM,
            email=options["email"],
            role=options["role"],
            lifetime=lifetime,
            name=options["name"],
        )
        self.stdout.write(issued.url)
        self.stderr.write(_summary(issued))


def _summary(issued: IssuedInvitation) -> str:
    """For whom the link is, until when it works, and whether it was mailed."""
    invitation = issued.invitation
    delivery = "mailed, too" if issued.mailed else "not mailed: hand it over"
    end = date_format(issued.expires_at, "c")
    return f"For {invitation.email} ({invitation.role}); works once, until {end}; {delivery}."
