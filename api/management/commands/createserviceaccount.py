"""`manage.py createserviceaccount NAME`"""

import json
from typing import Any

from django.core.management import CommandParser

from accounts.actors import SYSTEM
from accounts.commands import END_HELP, AccountCommand, user_record
from accounts.models import User
from accounts.roles import Role
from accounts.services.end_dates import audit_time
from accounts.services.groups.reading import find_groups
from accounts.services.service_accounts import create_service_account
from api.apikeys import services
from api.permissions import Scope


class Command(AccountCommand):
    """Create a service account."""

    help = (
        "Create a service account: a program's account, with API keys and no password, address or "
        "sign-in. --key also creates its first key, and prints it once, alone, on standard output; "
        "create others with `apikey create`. A second run changes nothing and exits with 1, "
        "because the name is taken."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="how it is called: letters, digits, dots and hyphens")
        parser.add_argument(
            "--responsible",
            required=True,
            metavar="LOGIN",
            help="email address or user name of the person who answers for it",
        )
        parser.add_argument(
            "--role",
            choices=[role.value for role in Role if role != Role.OWNER],
            default=Role.VIEWER,
            help="viewer by default",
        )
        parser.add_argument(
            "--team", metavar="GROUP", help="a group whose people answer for it as well"
        )
        parser.add_argument("--for", dest="purpose", default="", help="what it is for")
        parser.add_argument("--expires", metavar="WHEN", help=f"when its access ends: {END_HELP}")
        parser.add_argument("--key", metavar="NAME", help="create a key of this name")
        parser.add_argument(
            "--scope",
            action="append",
            choices=[scope.value for scope in Scope],
            help="of the key; may be repeated (default: read)",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def _key_request(self, options: dict[str, Any]) -> services.KeyRequest | None:
        """The first key; None without --key. Raises RecordInvalid before anything is created."""
        if options["key"] is None:
            return None
        wanted = services.KeyRequest(options["key"], options["scope"] or [Scope.READ])
        services.check_key_request(wanted, User(role=options["role"]), None)
        return wanted

    def act(self, **options: Any) -> None:
        key_request = self._key_request(options)
        user = create_service_account(
            actor=SYSTEM,
            username=options["name"],
            responsible=self.find_user(options["responsible"]),
            role=options["role"],
            name=options["purpose"],
            expires_at=self.parse_end("--expires", options["expires"]),
            source="command",
            team=find_groups([options["team"]])[0] if options["team"] else None,
        )
        key = None
        if key_request is not None:
            key = services.create_key(actor=SYSTEM, user=user, key_request=key_request).text
        if options["json"]:
            record = user_record(user) | ({"key": key} if key else {})
            self.stdout.write(json.dumps(record))
            return
        end = f"; access until {audit_time(user.expires_at)}" if user.expires_at else ""
        # A script reads the key from standard output.
        told = self.stderr if key else self.stdout
        told.write(f"Created the service account {user.email} ({user.role}){end}.")
        if key:
            self.stdout.write(key)
