"""`manage.py listgroups`"""

import json
from typing import Any

from django.core.management import CommandError, CommandParser
from django.utils import timezone

from accounts.models import Group, Membership
from accounts.services.end_dates import audit_time
from accounts.services.groups.reading import find_group
from core.commands import GatehouseCommand
from core.errors import NotFound


class Command(GatehouseCommand):
    """List groups, or the people in one."""

    help = (
        "List groups by name, or the people in one group and why they are in it. Changes nothing. "
        "Exits with 1 if there is none."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("group", nargs="?", default="", help="list the people in this group")
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def act(self, **options: Any) -> None:
        lines = _members(options["group"]) if options["group"] else _groups()
        if not lines:
            raise CommandError("Nobody is in this group." if options["group"] else "No group.")
        for record, line in lines:
            self.stdout.write(json.dumps(record) if options["json"] else line)


def _groups() -> list[tuple[dict[str, Any], str]]:
    rows = list(Group.objects.order_by("name"))
    found = []
    for row in rows:
        current = Membership.objects.filter(group=row).current(timezone.now())
        count = current.values("user").distinct().count()
        record = {
            "id": str(row.pk),
            "name": row.name,
            "label": row.label,
            "description": row.description,
            "member_count": count,
            "created_at": row.created_at.isoformat(),
        }
        found.append((record, f"{row.name:<40} {count:>5}  {row.label}".rstrip()))
    return found


def _members(text: str) -> list[tuple[dict[str, Any], str]]:
    try:
        group = find_group(text)
    except NotFound as error:
        raise CommandError(error.message) from None
    rows = Membership.objects.filter(group=group).current(timezone.now()).select_related("user")
    return [(_record(row), _line(row)) for row in rows.order_by("user__email", "source")]


def _record(row: Membership) -> dict[str, Any]:
    return {
        "user_id": str(row.user_id),
        "email": row.user.address,
        "name": row.user.name,
        "source": row.source,
        "until": row.until.isoformat() if row.until else None,
        "added_at": row.added_at.isoformat(),
        "added_by_id": str(row.added_by_id) if row.added_by_id else None,
    }


def _line(row: Membership) -> str:
    end = f"; until {audit_time(row.until)}" if row.until else ""
    return f"{row.user.email:<40} {row.source}{end}"
