"""`manage.py demo`"""

import json
from typing import Any

from django.core.management import CommandError, CommandParser

from accounts.commands import AccountCommand
from operations.command import OperationCommand
from operations.demo.create import CreatedDemo, create_demo
from operations.demo.people import DOMAIN
from operations.demo.story import DAYS
from operations.upgrade.prepare import prepare

# A history of this length takes some ten seconds.
SHOWN_FROM = 1500


class Command(AccountCommand, OperationCommand):
    """Fill an empty instance with people and a history, to try it out."""

    help = (
        f"Fill an empty instance with people and {DAYS} days of history: roles, sign-ins, API "
        "keys, access rules, violations, bans, links and mails. For trying Gatehouse out, not for "
        f"production. All addresses end in @{DOMAIN}, to which no mail can be sent. Makes all or "
        "nothing, and refuses an instance that has accounts. Prints a link that signs the owner "
        "in. Safe to repeat: exits with 1 and changes nothing if there are accounts."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--people", type=int, default=40, metavar="N", help="10 to 5000 people (default: 40)"
        )
        parser.add_argument(
            "--seed", type=int, default=1, metavar="N",
            help="another number makes up other people (default: 1)",
        )  # fmt: skip
        parser.add_argument("--password", action="store_true", help="ask for the owner's password")
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help="read the owner's password from standard input",
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def work(self, **options: Any) -> None:
        password = None
        if options["password"] or options["password_stdin"]:
            password = self.ask_password(from_stdin=options["password_stdin"])
            if not password:
                raise CommandError("The password is empty. Nothing was changed.")
        prepare(self.stderr.write)
        created = create_demo(
            count=options["people"],
            seed=options["seed"],
            password=password,
            progress=self._print_progress,
        )
        if options["json"]:
            self.say(json.dumps(created.as_json()))
        else:
            self._print(created)

    def _print_progress(self, done: int, total: int) -> None:
        """Ten lines on standard error; none for a history that is ready in a few seconds."""
        step = -(-total // 10)
        if total >= SHOWN_FROM and (done % step == 0 or done == total):
            self.stderr.write(f"{done * 100 // total} %")

    def _print(self, created: CreatedDemo) -> None:
        people = ", ".join(f"{count} {state}" for state, count in created.people.items())
        rows = ", ".join(f"{count} {name}" for name, count in created.rows.items())
        self.say(f"Made up {sum(created.people.values())} people ({people}), {rows}.")
        self.say(f"The owner is {created.owner}. This link signs them in once:\n")
        self.say(f"    {created.link}\n")
        self.say(
            f"It works until {created.expires_at:%Y-%m-%d %H:%M} UTC. Another one: manage.py "
            f"magiclink {created.owner}"
        )
        self.say("Start the server on the same data: manage.py serve")
