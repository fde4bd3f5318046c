"""`manage.py apikey create|list|revoke`"""

import json
from datetime import timedelta
from typing import Any

from django.core.management import CommandError, CommandParser
from django.utils import timezone
from django.utils.formats import date_format
from rest_framework.renderers import JSONRenderer

from accounts.actors import SYSTEM
from accounts.commands import AccountCommand
from api.apikeys import services
from api.apikeys.key_format import shown_id
from api.models import ApiKey
from api.permissions import Scope
from api.views.apikeys import key_record


class Command(AccountCommand):
    """Create, list and revoke API keys."""

    help = (
        "Create, list and revoke API keys: apikey create LOGIN NAME [--scope SCOPE …] [--days "
        "DAYS] [--network CIDR …], apikey list [LOGIN] [--limit ROWS] [--json], apikey revoke KEY "
        "[--yes]. A new key is printed once, alone, on standard output. Exits with 1 if nothing "
        "was created, found or revoked. Safe to repeat: `list` and a second `revoke` change "
        "nothing, `create` makes another key."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="what", required=True, help="create, list or revoke")
        create = actions.add_parser("create", help="create a key for a user")
        create.add_argument("login", help="email address or user name of the owner")
        create.add_argument("name", help="what the key is for")
        scopes = [scope.value for scope in Scope]
        create.add_argument("--scope", action="append", choices=scopes, help="may be repeated")
        ends = create.add_mutually_exclusive_group()
        ends.add_argument("--days", type=int, help="lifetime (default: API_KEY_DEFAULT_AGE)")
        ends.add_argument("--endless", action="store_true", help="only with API_KEY_MAX_AGE=0")
        create.add_argument(
            "--network", action="append", default=[], help="CIDR network; may be repeated"
        )
        listing = actions.add_parser("list", help="list keys of all users or of one, newest first")
        listing.add_argument("login", nargs="?", default="", help="only keys of this user")
        listing.add_argument("--limit", type=int, default=100, help="the most keys (default: 100)")
        listing.add_argument("--json", action="store_true", help="print one JSON object per line")
        revoke = actions.add_parser("revoke", help="revoke a key")
        revoke.add_argument("key", help="its id, or the key as lists show it")
        revoke.add_argument("--yes", action="store_true", help="do not ask")

    def act(self, **options: Any) -> None:
        actions = {"create": self._create, "list": self._list, "revoke": self._revoke}
        actions[options["what"]](options)

    def _create(self, options: dict[str, Any]) -> None:
        user = self.find_user(options["login"])
        days = options["days"]
        try:
            expires_at = None if days is None else timezone.now() + timedelta(days=days)
        except OverflowError as error:
            raise CommandError("--days is too large.") from error
        key_request = services.KeyRequest(
            name=options["name"],
            scopes=options["scope"] or [Scope.READ],
            expires_at=expires_at,
            is_endless=options["endless"],
            networks=options["network"],
        )
        issued = services.create_key(actor=SYSTEM, user=user, key_request=key_request)
        self.stdout.write(issued.text)
        self.stderr.write(
            f"For {user.email}; scopes: {', '.join(issued.key.scopes)}; {_expiry_text(issued.key)}."
        )

    def _list(self, options: dict[str, Any]) -> None:
        keys = ApiKey.objects.select_related("user").order_by("-created_at", "-pk")
        if options["login"]:
            keys = keys.filter(user=self.find_user(options["login"]))
        rows = list(keys[: max(1, options["limit"])])
        if not rows:
            raise CommandError("No keys found.")
        for key in rows:
            self.stdout.write(json.dumps(_record(key)) if options["json"] else _line(key))

    def _revoke(self, options: dict[str, Any]) -> None:
        key_id = shown_id(options["key"])
        key = ApiKey.objects.select_related("user").filter(pk=key_id).first()
        if key is None or key.revoked_at is not None:
            raise CommandError("No such key, or it is revoked already.")
        question = f"Revoke {key} “{key.name}” of {key.user.email}?"
        self.ask_yes(question, assume_yes=options["yes"])
        services.revoke_key(actor=SYSTEM, key=key)
        self.stderr.write(f"{key} of {key.user.email} is revoked.")


def _expiry_text(key: ApiKey) -> str:
    return f"expires {date_format(key.expires_at, 'c')}" if key.expires_at else "never expires"


def _record(key: ApiKey) -> dict[str, Any]:
    """The fields of the API, with the same names, and whose key it is."""
    owner = {"user_id": str(key.user_id), "email": key.user.email}
    shown: dict[str, Any] = json.loads(JSONRenderer().render(key_record(key)))
    return shown | owner


def _line(key: ApiKey) -> str:
    state = services.state_of(key, timezone.now())
    used = f"used {key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never used"
    return f"{key!s:<20} {state:<8} {key.user.email:<40} {key.name:<24} {_expiry_text(key)}; {used}"
