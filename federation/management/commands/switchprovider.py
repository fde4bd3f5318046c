"""`manage.py switchprovider PROVIDER on|off`"""

from typing import Any

from django.core.management import CommandError, CommandParser

from accounts.actors import SYSTEM
from core.commands import GatehouseCommand
from federation.paused import paused_ids
from federation.services.switching import switch_off, switch_on, switchable_ids


class Command(GatehouseCommand):
    """Switch a sign-in provider off or on."""

    help = (
        "Let no one sign in through a configured provider or the directory (`ldap`) for a while, "
        "or allow it again; works at once. Present sessions stay. A provider cannot be switched "
        "off if an owner has no other way to sign in. Exits with 1 if nothing was to change. Safe "
        "to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "provider", metavar="PROVIDER", help="its name in the settings, or ldap"
        )
        parser.add_argument("state", choices=["on", "off"], help="whether it may be used")

    def act(self, **options: Any) -> None:
        name, state = options["provider"], options["state"]
        if name not in {*switchable_ids(), *paused_ids()}:
            known = ", ".join(switchable_ids()) or "none"
            raise CommandError(f"No provider {name!r} is configured. Configured are: {known}.")
        switch = switch_on if state == "on" else switch_off
        if not switch(actor=SYSTEM, provider_id=name):
            raise CommandError(f"{name} is {state} already. Nothing was changed.")
        self.stdout.write(f"Sign-in through {name} is {state}.")
