"""`manage.py removefromgroup GROUP LOGIN…`"""

from typing import Any

from django.core.management import CommandError, CommandParser

from accounts.actors import SYSTEM
from accounts.commands import AccountCommand
from accounts.services.groups.members import remove_members
from accounts.services.groups.reading import find_group
from core.errors import NotFound


class Command(AccountCommand):
    """Take people out of a group."""

    help = (
        "Take people out of a group: all of them, or none if one is refused, because the directory "
        "or a provider puts them into it. Exits with 1 if none of them is in it. Safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("group", help="name of the group")
        parser.add_argument("login", nargs="+", help="address or user name")

    def act(self, **options: Any) -> None:
        people = [self.find_user(login) for login in options["login"]]
        try:
            group = find_group(options["group"])
        except NotFound as error:
            raise CommandError(error.message) from None
        left = remove_members(actor=SYSTEM, users=people, group=group)
        if not left:
            raise CommandError(f"None of them is in {group.name}. Nothing was changed.")
        for user in left:
            self.stdout.write(f"{user.email} is not in {group.name} any more.")
