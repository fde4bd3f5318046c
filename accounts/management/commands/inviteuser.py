"""`manage.py inviteuser EMAIL...`"""

import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management import CommandError, CommandParser
from django.utils.formats import date_format

from accounts.actors import SYSTEM
from accounts.commands import END_HELP, AccountCommand, describe_role
from accounts.roles import Role
from accounts.services.bulk.invitations import (
    SENDS,
    WRONG,
    InvitationLine,
    InvitationOutcome,
    invite_many,
    plan_invitations,
)
from accounts.services.groups.reading import find_groups, groups_with_ids
from accounts.services.invitations import LIFETIME, IssuedInvitation, invite
from accounts.user_files.address_list import parse_recipients, read_recipients
from accounts.user_files.tables import FileInvalid

HOUR = timedelta(hours=1)
REASONS = {
    InvitationOutcome.OPEN: "already invited; --resend sends a new link",
    InvitationOutcome.ACCOUNT: "has an account",
}


class Command(AccountCommand):
    """Invite addresses, also while registration is closed."""

    help = (
        "Print a new link with which the owner of an address creates an account. It is mailed as "
        "well if a mail service is configured. One address: replaces older invitations of it. "
        "Several addresses, or a file: prints `address TAB link` a line, and leaves out addresses "
        "that have an account or an open invitation, so the same list can be sent again. Exits "
        "with 1 if no one was invited or an entry is wrong; the others are invited. Safe to "
        "repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", nargs="*", help="`address` or `Name <address>`")
        parser.add_argument(
            "--file", help="a file with addresses, CSV or text; - for standard input"
        )
        parser.add_argument(
            "--role",
            choices=[role.value for role in Role],
            default=Role.VIEWER,
            help="of the new accounts; viewer by default",
        )
        parser.add_argument("--role-until", metavar="WHEN", help=f"when the role ends: {END_HELP}")
        parser.add_argument(
            "--then",
            default="",
            choices=[role.value for role in Role if role != Role.OWNER],
            help="the lower role that follows; with --role-until",
        )
        parser.add_argument(
            "--group",
            action="append",
            default=[],
            metavar="GROUP",
            dest="groups",
            help="a group that they join by accepting; may be repeated",
        )
        parser.add_argument(
            "--name", default="", help="initial value of the name in the form, for one address"
        )
        parser.add_argument(
            "--hours",
            type=int,
            default=LIFETIME // HOUR,
            metavar="HOURS",
            help="how long it works: 1 to 720 hours (default: 168)",
        )
        parser.add_argument(
            "--resend", action="store_true", help="also replace open invitations of the list"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would happen, and invite no one"
        )

    def act(self, **options: Any) -> None:
        try:
            lifetime = timedelta(hours=options["hours"])
        except OverflowError as error:
            raise CommandError("lifetime: Choose between 1 and 720 hours.") from error
        is_list = options["file"] is not None or len(options["email"]) != 1 or options["dry_run"]
        if is_list:
            self._invite_list(lifetime, options)
            return
        issued = invite(
            actor=SYSTEM,
            email=options["email"][0],
            role=options["role"],
            lifetime=lifetime,
            name=options["name"],
            group_ids=[str(group.pk) for group in find_groups(options["groups"])],
            **self._ends(options),
        )
        self.stdout.write(issued.url)
        self.stderr.write(_summary(issued))

    def _invite_list(self, lifetime: timedelta, options: dict[str, Any]) -> None:
        if options["name"]:
            raise CommandError("--name is for one address. Write `Name <address>`.")
        text = "\n".join([*options["email"], self._text_of(options["file"])])
        recipients = parse_recipients(text)
        if not recipients:
            raise CommandError("Name at least one address, or a --file with addresses.")
        wanted: dict[str, Any] = {
            "actor": SYSTEM,
            "role": options["role"],
            "resend": options["resend"],
            "group_ids": [str(group.pk) for group in find_groups(options["groups"])],
            **self._ends(options),
        }
        if options["dry_run"]:
            self._report(plan_invitations(recipients, **wanted), is_dry=True)
        else:
            self._report(invite_many(recipients, lifetime=lifetime, **wanted), is_dry=False)

    def _ends(self, options: dict[str, Any]) -> dict[str, Any]:
        until = self.parse_end("--role-until", options["role_until"])
        return {"role_until": until, "role_after": options["then"]}

    def _text_of(self, name: str | None) -> str:
        if name is None:
            return ""
        if name == "-":
            return sys.stdin.read()
        if not Path(name).is_file():
            raise CommandError(f"There is no file {name}.")
        with Path(name).open("rb") as file:
            return _read(file)

    def _report(self, lines: list[InvitationLine], *, is_dry: bool) -> None:
        for line in lines:
            who = line.recipient.email or line.recipient.text
            if line.issued is not None:
                self.stdout.write(f"{who}\t{line.issued.url}")
            elif line.outcome not in SENDS:
                reason = line.message or REASONS.get(line.outcome, line.outcome)
                self.stderr.write(f"line {line.recipient.line}: {who}: {reason}")
        counts = Counter(line.outcome for line in lines)
        sent = sum(counts[outcome] for outcome in SENDS)
        wrong = sum(counts[outcome] for outcome in WRONG)
        done = f"{sent} {'would be invited' if is_dry else 'invited'}"
        summary = f"{done}, {len(lines) - sent - wrong} left out, {wrong} wrong."
        self.stderr.write(summary)
        if wrong or not sent:
            raise CommandError("Nobody was invited." if not sent else "Correct the wrong entries.")


def _read(file: BinaryIO) -> str:
    try:
        return read_recipients(file)
    except FileInvalid as error:
        raise CommandError(f"line {error.line}: {error.message}") from error


def _summary(issued: IssuedInvitation) -> str:
    """For whom the link is, until when it works, and whether it was mailed."""
    invitation = issued.invitation
    delivery = "mailed, too" if issued.mailed else "not mailed: hand it over"
    end = date_format(issued.expires_at, "c")
    names = [group.name for group in groups_with_ids(invitation.group_ids)]
    role = "; ".join(filter(None, [describe_role(invitation), ", ".join(names)]))
    return f"For {invitation.email} ({role}); works once, until {end}; {delivery}."
