"""`manage.py testmail ADDRESS`"""

from typing import Any

from django.core.management import CommandError, CommandParser

from accounts.actors import SYSTEM
from accounts.services.mail import send_test_mail
from core.commands import GatehouseCommand


class Command(GatehouseCommand):
    """Send a test mail and show the dialogue with the mail server."""

    help = (
        "Send a mail without any secret to ADDRESS at once, and print the dialogue with the mail "
        "server, without passwords. Safe to repeat. Exits with 1 if it was not sent, and says how "
        "to fix that."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", help="to which the mail is sent")

    def act(self, **options: Any) -> None:
        report = send_test_mail(actor=SYSTEM, email=options["address"])
        for line in report.dialogue:
            self.stdout.write(line)
        if not report.is_sent:
            raise CommandError(f"{report.reason} {report.fix}".strip())
        self.stdout.write(f"The mail service has accepted the mail to {report.recipient}.")
