"""`manage.py rotatekeys`"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management import CommandError, CommandParser
from django.utils.formats import date_format

from accounts.actors import SYSTEM
from api.tokens import algorithms, signing_keys
from api.tokens.signing_keys import Rotation
from core.commands import GatehouseCommand

Rotate = Callable[..., Rotation | None]
QUESTION = (
    "All existing access tokens become invalid: here within a second, in your backends when they "
    "fetch the key set again. Programs refresh their tokens. Replace all keys?"
)


class Command(GatehouseCommand):
    """Replace the keys that sign access and ID tokens."""

    help = (
        "Publish a new signing key, which starts to sign after JWT_KEY_PUBLISH_AHEAD. The old one "
        "stays valid until its last token has expired. Existing tokens keep working. So for each "
        "algorithm in use. Safe to repeat: exits with 1 if new keys wait to sign already."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument(
            "--now",
            action="store_true",
            help="the new key signs at once; tokens of the old one stay valid until they expire",
        )
        mode.add_argument(
            "--emergency",
            action="store_true",
            help="for a leaked key: the new key signs at once, older keys become invalid",
        )
        parser.add_argument(
            "--yes", action="store_true", help="do not ask for confirmation of --emergency"
        )

    def act(self, **options: Any) -> None:
        if settings.JWT_SECRET:
            raise CommandError(
                "Nothing was done: JWT_SECRET signs the tokens. Change its value to replace it."
            )
        if options["emergency"]:
            self.ask_yes(QUESTION, assume_yes=options["yes"])
            self._report(signing_keys.replace_all(actor=SYSTEM), "invalid now")
        else:
            self._rotate(signing_keys.rotate_now if options["now"] else signing_keys.rotate)

    def _rotate(self, rotate: Rotate) -> None:
        """Rotate the keys of each algorithm in use."""
        done = [rotate(actor=SYSTEM, algorithm=name) for name in algorithms.used_algorithms()]
        rotations = [rotation for rotation in done if rotation is not None]
        if not rotations:
            raise CommandError(
                "Nothing was done: a new key is already published and will sign soon."
            )
        for rotation in rotations:
            self._report(rotation, "valid until its last token has expired")

    def _report(self, rotation: Rotation, state: str) -> None:
        """Print a line for the signing key and for each key that it replaces."""
        start = date_format(rotation.active_from, "c")
        self.stdout.write(f"{rotation.kid} signs from {start}.")
        for kid in rotation.replaced:
            self.stdout.write(f"{kid} is {state}.")
