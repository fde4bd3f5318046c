"""`manage.py addtogroup GROUP LOGIN…`"""

from typing import Any

from django.core.management import CommandError, CommandParser
from django.db import transaction

from accounts.actors import SYSTEM
from accounts.commands import END_HELP, AccountCommand
from accounts.models.groups import MANUAL
from accounts.services.end_dates import audit_time
from accounts.services.groups.changes import create_group
from accounts.services.groups.members import add_members
from accounts.services.groups.reading import find_group
from core.errors import NotFound
from core.locks import lock_users


class Command(AccountCommand):
    """Put people into a group."""

    help = (
        "Put people into a group, for good or until a time. All of them, or none if one "
        "is refused. Exits with 1 if all of them are in it already until that time. Safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("group", help="name of the group")
        parser.add_argument("login", nargs="+", help="address or user name")
        parser.add_argument("--until", metavar="WHEN", help=f"when it ends: {END_HELP}")
        parser.add_argument(
            "--create", action="store_true", help="create the group if there is none of this name"
        )

    def act(self, **options: Any) -> None:
        people = [self.find_user(login) for login in options["login"]]
        until = self.parse_end("--until", options["until"])
        with transaction.atomic():
            lock_users(*(user.pk for user in people))
            try:
                group = find_group(options["group"])
            except NotFound as error:
                if not options["create"]:
                    raise CommandError(f"{error.message} --create creates it.") from None
                group = create_group(actor=SYSTEM, name=options["group"])
            before = dict(group.memberships.filter(source=MANUAL).values_list("user_id", "until"))
            changed = [user for user in people if user.pk not in before or before[user.pk] != until]
            if not changed:
                raise CommandError("They are in the group already. Nothing was changed.")
            add_members(actor=SYSTEM, users=changed, group=group, until=until)
        end = f" until {audit_time(until)}" if until else ""
        for user in changed:
            self.stdout.write(f"{user.email} is in {group.name}{end}.")
