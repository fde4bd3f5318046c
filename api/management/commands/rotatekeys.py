"""`manage.py rotatekeys`"""

from typing import Any

from django.conf import settings
from django.core.management import CommandError, CommandParser
from django.utils.formats import date_format

from accounts.actors import SYSTEM
from api.tokens import signing_keys
from api.tokens.signing_keys import Rotation
from core.commands import GatehouseCommand

QUESTION = (
    "Every access token that is out will be refused within a second here, and by your backends "
    "as soon as they read the key set again. Programs refresh theirs. Replace all keys?"
)


class Command(GatehouseCommand):
    """Replace the key that signs access tokens."""

    help = (
        "Publish a new signing key that signs after JWT_KEY_PUBLISH_AHEAD. The old one is "
        "believed until its last token has ended. Nobody notices."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        way = parser.add_mutually_exclusive_group()
        way.add_argument(
            "--now",
            action="store_true",
            help="the new key signs at once; tokens of the old one stay good until they end",
        )
        way.add_argument(
            "--emergency",
            action="store_true",
            help="a key has leaked: the new key signs at once, older ones are dead",
        )
        parser.add_argument("--yes", action="store_true", help="do not ask before --emergency")

    def act(self, **options: Any) -> None:
        if settings.JWT_SECRET:
            raise CommandError(
                "Nothing was done: JWT_SECRET signs here. Give it another value to replace it."
            )
        if options["emergency"]:
            self.ask_yes(QUESTION, assume_yes=options["yes"])
            self._tell(signing_keys.replace_all(actor=SYSTEM), "dead now")
        elif options["now"]:
            self._tell(
                signing_keys.rotate_now(actor=SYSTEM), "believed until their tokens have ended"
            )
        else:
            rotation = signing_keys.rotate(actor=SYSTEM)
            if rotation is None:
                raise CommandError("Nothing was done: a new key is published and waits to sign.")
            self._tell(rotation, "believed until their tokens have ended")

    def _tell(self, rotation: Rotation, fate: str) -> None:
        """One line for the key that signs, one for each that it replaces."""
        start = date_format(rotation.active_from, "c")
        self.stdout.write(f"{rotation.kid} signs from {start} on.")
        for kid in rotation.replaced:
            self.stdout.write(f"{kid} is {fate}.")
