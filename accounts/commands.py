"""What commands about accounts share: finding users, asking for a password."""

import getpass
import sys

from django.core.management import CommandError

from accounts.models import User
from core.commands import GatehouseCommand
from core.plain_text import trim_line


class AccountCommand(GatehouseCommand):
    """A command that names an account."""

    def person(self, login: str) -> User:
        """The account with that address or user name. Raises CommandError."""
        user: User | None = User.objects.with_login(login).first()
        if user is None:
            raise CommandError(f"No account has the address or user name {login!r}.")
        return user

    def ask_password(self, *, from_stdin: bool) -> str:
        """A password typed twice without echo, or one line of standard input."""
        if from_stdin:
            return trim_line(sys.stdin.readline())
        first = getpass.getpass("Password: ")
        if first != getpass.getpass("Again: "):
            raise CommandError("The two passwords differ. Nothing was done.")
        return first
