"""What our management commands share: the system actor, finding people, refusing clearly."""

import getpass
import sys
from typing import Any

from django.core.management import BaseCommand, CommandError

from accounts.context import Caller, calling
from accounts.errors import GatehouseError
from accounts.models import User
from accounts.plain_text import trim_line
from accounts.services.encryption_key import require_same_key


class GatehouseCommand(BaseCommand):
    """Runs `act()` as the machine's operator; a refusal becomes a sentence and exit code 1.

    uses_encryption_key: refuse a database that was encrypted with another key.
    """

    uses_encryption_key = True

    def handle(self, *args: Any, **options: Any) -> str | None:
        with calling(Caller(channel="command")):
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

    def person(self, login: str) -> User:
        """The account with that address or user name. Raises CommandError."""
        user: User | None = User.objects.with_login(login).first()
        if user is None:
            raise CommandError(f"No account has the address or user name {login!r}.")
        return user

    def ask_yes(self, question: str, *, assume_yes: bool) -> None:
        """Go on only after a yes; without a terminal `--yes` is needed. Raises CommandError."""
        if assume_yes:
            return
        if not sys.stdin.isatty():
            raise CommandError(f"{question} Add --yes to do it without being asked.")
        if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was done.")

    def ask_password(self, *, from_stdin: bool) -> str:
        """A password typed twice without echo, or one line of standard input."""
        if from_stdin:
            return trim_line(sys.stdin.readline())
        first = getpass.getpass("Password: ")
        if first != getpass.getpass("Again: "):
            raise CommandError("The two passwords differ. Nothing was done.")
        return first
