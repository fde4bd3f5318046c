"""`manage.py unban [LOGIN] [--network ADDRESS] [--id BAN]`"""

import uuid
from typing import Any

from django.core.management import CommandError, CommandParser
from django.db.models import Q

from accounts.actors import SYSTEM
from accounts.commands import AccountCommand
from moderation.commands import require_target, target_text
from moderation.networks import network_name
from moderation.services.bans import active_bans, lift


class Command(AccountCommand):
    """Lift bans."""

    help = (
        "Lift every ban in force of a user, of a network, or the one with that id. Works even if "
        "every administrator is banned. Exits with 1 if there is none. Safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("login", nargs="?", default="", help="address or user name")
        parser.add_argument("--network", default="", help="an IP address")
        parser.add_argument("--id", default="", help="the id that `listbans` shows")

    def act(self, **options: Any) -> None:
        found = list(active_bans().filter(self._condition(options)).select_related("user"))
        if not found:
            raise CommandError("No such ban is in force. Nothing was done.")
        for row in found:
            lift(actor=SYSTEM, ban=row)
            self.stdout.write(f"Lifted the ban of {target_text(row)}.")

    def _condition(self, options: dict[str, Any]) -> Q:
        user = self.find_user(options["login"]) if options["login"] else None
        require_target(user, options["network"], options["id"])
        condition = Q(user=user) if user is not None else Q()
        if options["network"]:
            condition &= Q(network=_name(options["network"]))
        if options["id"]:
            condition &= Q(pk=_id(options["id"]))
        return condition


def _name(text: str) -> str:
    name = network_name(text)
    if not name:
        raise CommandError(f"{text!r} is not an address.")
    return name


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise CommandError(f"{text!r} is not the id of a ban.") from None
