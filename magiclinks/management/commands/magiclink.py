"""`manage.py magiclink LOGIN`"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management import CommandParser
from django.utils.formats import date_format

from accounts.actors import SYSTEM
from accounts.commands import AccountCommand
from magiclinks.models import LoginLink
from magiclinks.services import issue_link


class Command(AccountCommand):
    """Issue a sign-in link for a user."""

    help = (
        "Print a new link that signs an account in once. Older links of the account stop working. "
        "Safe to repeat: each link replaces the older ones. Exits with 1 if no link was made."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("login", help="email address or user name")
        parser.add_argument(
            "--lifetime",
            type=int,
            metavar="MINUTES",
            help="lifetime: 1 to 1440 minutes (default: MAGIC_LINK_OPERATOR_EXPIRY)",
        )

    def act(self, **options: Any) -> None:
        minutes = options["lifetime"]
        lifetime = (
            settings.MAGIC_LINK_OPERATOR_EXPIRY if minutes is None else timedelta(minutes=minutes)
        )
        user = self.find_user(options["login"])
        issued = issue_link(user, actor=SYSTEM, lifetime=lifetime, source=LoginLink.Source.COMMAND)
        self.stdout.write(issued.url)
        self.stderr.write(
            f"For {user.email}; works once, until {date_format(issued.expires_at, 'c')}."
        )
