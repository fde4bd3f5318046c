"""The base class of commands about accounts."""

import getpass
import sys

from django.core.management import CommandError

from accounts.models import User
from core.commands import GatehouseCommand
from core.text.plain_text import trim_line


class AccountCommand(GatehouseCommand):
    """A command that takes an account."""

    def find_user(self, login: str) -> User:
        """The account with that address or user name. Raises CommandError."""
        user: User | None = User.objects.with_login(login).first()
        if user is None:
            raise CommandError(f"No account has the address or user name {login!r}.")
        return user

    def ask_password(self, *, from_stdin: bool) -> str:
        """Ask for a password twice without echo, or read one line of standard input.

        Raises CommandError when the two differ.
        """
        if from_stdin:
            return trim_line(sys.stdin.readline())
        first = getpass.getpass("Password: ")
        if first != getpass.getpass("Again: "):
            raise CommandError("The two passwords differ. Nothing was changed.")
        return first
