"""The base class of commands about accounts."""

import getpass
import sys
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.management import CommandError
from django.utils import timezone

from accounts.models import Invitation, User
from accounts.services.end_dates import audit_time
from core.commands import GatehouseCommand
from core.text.end_times import FORMS, parse_end_time
from core.text.plain_text import trim_line

# For --help.
END_HELP = f"{FORMS}; a date is the end of that day"


def describe_role(row: User | Invitation) -> str:
    """`admin`, or `admin until 2026-12-04 17:00 UTC, then viewer`."""
    if row.role_until is None:
        return row.role
    return f"{row.role} until {audit_time(row.role_until)}, then {row.role_after}"


def user_record(user: User) -> dict[str, Any]:
    """The fields of the API, with the same names."""
    return {
        "id": str(user.pk),
        "kind": user.kind,
        "email": user.address,
        "username": user.username,
        "name": user.name,
        "responsible_id": _text(user.responsible_id),
        "responsible_group_id": _text(user.responsible_group_id),
        "role": user.role,
        "role_until": _time(user.role_until),
        "role_after": user.role_after,
        "groups": user.group_names,
        "is_active": user.is_active,
        "expires_at": _time(user.expires_at),
        "is_verified": user.is_verified,
        "created_at": _time(user.created_at),
        "last_sign_in_at": _time(user.last_login),
    }


def _text(key: UUID | None) -> str | None:
    return str(key) if key else None


def _time(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


class AccountCommand(GatehouseCommand):
    """A command that takes an account."""

    def find_user(self, login: str) -> User:
        """The account with that address or user name. Raises CommandError."""
        user: User | None = User.objects.with_login(login).first()
        if user is None:
            raise CommandError(f"No account has the address or user name {login!r}.")
        return user

    def parse_end(self, option: str, text: str | None) -> datetime | None:
        """The end that was given for `option`; None without one. Raises CommandError."""
        if text is None:
            return None
        try:
            return parse_end_time(text, timezone.now(), timezone.get_current_timezone())
        except ValueError as error:
            raise CommandError(f"{option}: {error}") from None

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
