"""The base of the management commands: request context, encryption key, error messages."""

import sys
from typing import Any

from django.core.management import BaseCommand, CommandError

from core.crypto.encryption_key import require_same_key
from core.errors import GatehouseError
from core.web.request_context import RequestContext, use_context


class GatehouseCommand(BaseCommand):
    """Runs `act()` as the administrator of the machine; errors become a message and exit code 1.

    uses_encryption_key: refuse a database that was encrypted with another key.
    """

    # The checks import every page; the server and `doctor` run them.
    requires_system_checks = ()
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
        """The work of the command; subclasses override it."""
        raise CommandError("this command does nothing")

    def ask_yes(self, question: str, *, assume_yes: bool) -> None:
        """Ask for confirmation. Without a terminal, `--yes` is required. Raises CommandError."""
        if assume_yes:
            return
        if not sys.stdin.isatty():
            raise CommandError(f"{question} Add --yes to do it without being asked.")
        if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was done.")
