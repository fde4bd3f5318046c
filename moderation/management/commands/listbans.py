"""`manage.py listbans`"""

import json
from typing import Any

from django.core.management import CommandError, CommandParser
from django.utils import timezone

from core.commands import GatehouseCommand
from moderation.commands import ban_as_json, target_text, until_text
from moderation.models import Ban
from moderation.reasons import shown
from moderation.services.bans import active_bans


class Command(GatehouseCommand):
    """List bans as lines or as JSON lines."""

    help = "List the bans in force, newest first. Changes nothing. Exits with 1 if there is none."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--all", action="store_true", help="include ended bans")
        parser.add_argument("--limit", type=int, default=100, help="the most bans (default: 100)")
        parser.add_argument("--json", action="store_true", help="one JSON object per line")

    def act(self, **options: Any) -> None:
        bans = Ban.objects.all() if options["all"] else active_bans()
        rows = list(bans.select_related("user").order_by("-id")[: max(1, options["limit"])])
        if not rows:
            raise CommandError("There is no ban.")
        now = timezone.now()
        for row in rows:
            state = row.state(now)
            line = json.dumps(ban_as_json(row, state)) if options["json"] else _line(row, state)
            self.stdout.write(line)


def _line(row: Ban, state: str) -> str:
    return f"{row.pk}  {state:<6}  {target_text(row)}  {until_text(row)}  {shown(row.reason)}"
