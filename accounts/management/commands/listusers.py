"""`manage.py listusers`"""

import json
from datetime import timedelta
from typing import Any

from django.core.management import CommandError, CommandParser
from django.utils import timezone

from accounts.commands import user_record
from accounts.models import Kind, User
from accounts.roles import Role
from accounts.services.end_dates import audit_time
from accounts.services.groups.reading import find_group, in_group, load_groups
from core.commands import GatehouseCommand


class Command(GatehouseCommand):
    """List accounts as a table or as JSON lines."""

    help = "List accounts, newest first. Changes nothing. Exits with 1 if no account matches."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--role", choices=[role.value for role in Role], help="only accounts with this role"
        )
        parser.add_argument(
            "--kind", choices=Kind.values, help="only people, or only service accounts"
        )
        parser.add_argument("--group", help="only people who are in this group now")
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
        if options["kind"]:
            users = users.filter(kind=options["kind"])
        if options["group"]:
            users = in_group(users, find_group(options["group"]), timezone.now())
        if options["disabled"]:
            users = users.filter(is_active=False)
        if options["ends_within"] is not None:
            users = users.ends_before(timezone.now() + timedelta(days=options["ends_within"]))
        rows = list(users[: max(1, options["limit"])])
        load_groups(rows)
        if not rows:
            raise CommandError("No account matches.")
        for user in rows:
            self.stdout.write(json.dumps(user_record(user)) if options["json"] else _line(user))


def _line(user: User) -> str:
    state = "active" if user.is_active else "disabled"
    if user.is_service:
        return f"{user.email:<40} {user.role:<7} {state:<9} service account{_ends(user)}"
    seen = f"{user.last_login:%Y-%m-%d %H:%M}" if user.last_login else "never signed in"
    verified = "verified" if user.is_verified else "unverified"
    return f"{user.email:<40} {user.role:<7} {state:<9} {verified:<11} {seen}{_ends(user)}"


def _ends(user: User) -> str:
    role_end = f"; role until {audit_time(user.role_until)}" if user.role_until else ""
    return role_end + (f"; access until {audit_time(user.expires_at)}" if user.expires_at else "")
