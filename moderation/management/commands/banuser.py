"""`manage.py banuser [LOGIN] [--network ADDRESS]`"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management import CommandError, CommandParser

from accounts.actors import SYSTEM
from accounts.commands import AccountCommand
from core.text.durations import DurationError, parse_duration
from moderation.commands import require_target, target_text, until_text
from moderation.services.bans import ban


class Command(AccountCommand):
    """Ban a user, a network, or both."""

    help = (
        "Ban a user, a network, or both as one ban. The user's sessions end, and they cannot sign "
        "in until the ban ends. A network's ban closes sign-in and sign-up from there. The last "
        "active owner cannot be banned. `unban` undoes it. Safe to repeat: it adds another ban, "
        "and `unban` lifts all of them. Exits with 1 if no one was banned."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("login", nargs="?", default="", help="address or user name")
        parser.add_argument("--network", default="", help="an IP address; IPv6: its /64")
        length = parser.add_mutually_exclusive_group()
        length.add_argument("--duration", default="", help="30m, 2h, 7d; default: BAN_DURATION")
        length.add_argument("--permanent", action="store_true", help="until it is lifted")
        parser.add_argument("--reason", default="", help="shown to the banned user")
        parser.add_argument("--yes", action="store_true", help="do not ask before --permanent")

    def act(self, **options: Any) -> None:
        user = self.find_user(options["login"]) if options["login"] else None
        require_target(user, options["network"])
        duration = _duration(options)
        if duration is None:
            target = user.email if user else options["network"]
            self.ask_yes(f"Ban {target} until it is lifted?", assume_yes=options["yes"])
        row = ban(
            actor=SYSTEM,
            user=user,
            network=options["network"],
            duration=duration,
            reason=options["reason"],
        )
        self.stdout.write(f"Banned {target_text(row)} {until_text(row)}.")


def _duration(options: dict[str, Any]) -> timedelta | None:
    if options["permanent"]:
        return None
    if not options["duration"]:
        default: timedelta = settings.BAN_DURATION
        return default
    try:
        return parse_duration(options["duration"].lower(), bare_unit=None)
    except DurationError as error:
        raise CommandError(f"--duration: {error.what}. Fix: write 30m, 2h, 7d or 1d12h.") from None
