"""`manage.py removefromgroup GROUP LOGIN…`"""

from typing import Any

from django.core.management import CommandError, CommandParser
from django.db import transaction

from accounts.actors import SYSTEM
from accounts.commands import AccountCommand
from accounts.services.groups.members import remove_member
from accounts.services.groups.reading import find_group
from core.errors import NotFound
from core.locks import lock_users


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
        with transaction.atomic():
            lock_users(*(user.pk for user in people))
            left = [user for user in people if remove_member(actor=SYSTEM, user=user, group=group)]
        if not left:
            raise CommandError(f"None of them is in {group.name}. Nothing was changed.")
        for user in left:
            self.stdout.write(f"{user.email} is not in {group.name} any more.")
