"""What the project's management commands share: the caller, the encryption key, clear refusals."""

import sys
from typing import Any

from django.core.management import BaseCommand, CommandError

from core.encryption_key import require_same_key
from core.errors import GatehouseError
from core.request_context import RequestContext, use_context


class GatehouseCommand(BaseCommand):
    """Runs `act()` as the machine's operator; a refusal becomes a sentence and exit code 1.

    uses_encryption_key: refuse a database that was encrypted with another key.
    """

    uses_encryption_key = True

    def handle(self, *args: Any, **options: Any) -> str | None:
        with use_context(RequestContext(channel="command")):
            try:
                if self.uses_encryption_key:
                    require_same_key()
                self.act(**options)
            except GatehouseError as error:
                raise CommandError(error.message) from error
        return None

    def act(self, **options: Any) -> None:
        """The command's work, in each child."""
        raise CommandError("this command does nothing")

    def ask_yes(self, question: str, *, assume_yes: bool) -> None:
        """Go on only after a yes; without a terminal `--yes` is needed. Raises CommandError."""
        if assume_yes:
            return
        if not sys.stdin.isatty():
            raise CommandError(f"{question} Add --yes to do it without being asked.")
        if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was done.")
