"""`manage.py listusers`"""

import json
from datetime import datetime, timedelta
from typing import Any

from django.core.management import CommandError, CommandParser
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from accounts.services.end_dates import audit_time
from core.commands import GatehouseCommand


class Command(GatehouseCommand):
    """List accounts as a table or as JSON lines."""

    help = "List accounts, newest first. Changes nothing. Exits with 1 if no account matches."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--role", choices=[role.value for role in Role], help="only accounts with this role"
        )
        parser.add_argument("--disabled", action="store_true", help="only disabled accounts")
        parser.add_argument("--search", default="", help="part of an address, user name or name")
        parser.add_argument(
            "--ends-within",
            type=int,
            metavar="DAYS",
            help="only accounts whose access or role ends within so many days",
        )
        parser.add_argument(
            "--limit", type=int, default=100, help="the most accounts (default: 100)"
        )
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def act(self, **options: Any) -> None:
        users = User.objects.search(options["search"]).order_by("-id")
        if options["role"]:
            users = users.filter(role=options["role"])
        if options["disabled"]:
            users = users.filter(is_active=False)
        if options["ends_within"] is not None:
            users = users.ends_before(timezone.now() + timedelta(days=options["ends_within"]))
        rows = list(users[: max(1, options["limit"])])
        if not rows:
            raise CommandError("No account matches.")
        for user in rows:
            self.stdout.write(json.dumps(_as_dict(user)) if options["json"] else _line(user))


def _as_dict(user: User) -> dict[str, Any]:
    """The fields of the API, with the same names."""
    return {
        "id": str(user.pk),
        "email": user.email,
        "username": user.username,
        "name": user.name,
        "role": user.role,
        "role_until": _time(user.role_until),
        "role_after": user.role_after,
        "is_active": user.is_active,
        "expires_at": _time(user.expires_at),
        "is_verified": user.is_verified,
        "created_at": _time(user.created_at),
        "last_sign_in_at": _time(user.last_login),
    }


def _time(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


def _line(user: User) -> str:
    state = "active" if user.is_active else "disabled"
    seen = f"{user.last_login:%Y-%m-%d %H:%M}" if user.last_login else "never signed in"
    verified = "verified" if user.is_verified else "unverified"
    role_end = f"; role until {audit_time(user.role_until)}" if user.role_until else ""
    end = f"; access until {audit_time(user.expires_at)}" if user.expires_at else ""
    return f"{user.email:<40} {user.role:<7} {state:<9} {verified:<11} {seen}{role_end}{end}"
