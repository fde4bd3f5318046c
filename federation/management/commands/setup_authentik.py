"""`manage.py setup_authentik URL APP_URL`"""

import getpass
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError, CommandParser

from accounts.commands import AccountCommand
from federation.authentik import env_file
from federation.authentik.api import Authentik
from federation.authentik.http import AuthentikError, Client, parse_base
from federation.authentik.plan import VARIABLES, DesiredState
from federation.authentik.session import session
from federation.authentik.setup import SetupResult, set_up


class Command(AccountCommand):
    """Create or update provider and application in authentik, and print the settings."""

    help = (
        "Create or update the OAuth2 provider and the application of Gatehouse in authentik "
        "(2024.12 or later), and print the matching settings. URL: authentik, as browsers reach "
        "it; APP_URL: PUBLIC_URL of this instance. Safe to repeat: a second run changes nothing, "
        "and no secret changes or is printed again unless you request it. Exits with 1 if "
        "authentik refuses or does not respond."
    )

    # Works on another server only, so it needs no database.
    uses_encryption_key = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("url", help="the address of Authentik, as browsers reach it")
        parser.add_argument("app_url", help="the address of this instance, its PUBLIC_URL")
        self._add_credentials(parser)
        parser.add_argument(
            "--name", default="Gatehouse", help="of provider and application (default: Gatehouse)"
        )
        parser.add_argument(
            "--slug", default="gatehouse", help="of the application (default: gatehouse)"
        )
        parser.add_argument(
            "--provider-id",
            choices=tuple(VARIABLES),
            default="authentik",
            help="whose settings are printed, and whose callback is registered",
        )
        parser.add_argument(
            "--signing-key", default="", metavar="NAME", help="the certificate that signs tokens"
        )
        parser.add_argument(
            "--verified-email",
            action="store_true",
            help="let authentik report every address as verified: you have checked all of them",
        )
        parser.add_argument(
            "--rotate-secret",
            action="store_true",
            help="create a new client secret; the old one stops working",
        )
        parser.add_argument(
            "--show-secret",
            action="store_true",
            help="print the client secret again; without it, only a new one is printed",
        )
        parser.add_argument(
            "--write-env", metavar="FILE", help="put the settings into this file, mode 600"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="print each request that would change something"
        )
        parser.add_argument(
            "--insecure-http", action="store_true", help="allow plain http to another machine"
        )

    def _add_credentials(self, parser: CommandParser) -> None:
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("--token", help="an API token; others on this machine can see it")
        who.add_argument("--token-file", metavar="FILE", help="a file that holds the API token")
        who.add_argument("--username", help="an administrator there; the password is asked for")
        parser.add_argument(
            "--password-stdin", action="store_true", help="read that password from standard input"
        )

    def act(self, **options: Any) -> None:
        try:
            self._set_up(options)
        except AuthentikError as error:
            raise CommandError(str(error)) from None

    def _set_up(self, options: dict[str, Any]) -> None:
        desired = _wanted(options)
        allows_http = options["insecure_http"]
        base = parse_base(options["url"], allows_http=allows_http)
        client = Client(base, token=_token(options), allows_http=allows_http)
        target = options["write_env"]
        path = env_file.check_writable(Path(target)) if target else None
        authentik = Authentik(client, self.stderr.write, is_dry=options["dry_run"])
        with ExitStack() as stack:
            if options["username"]:
                password = self._password(options)
                person = session(client, options["username"], password, self.stderr.write)
                stack.enter_context(person)
            result = set_up(authentik, desired)
        self._report(authentik, desired, result, path, shows_secret=options["show_secret"])

    def _password(self, options: dict[str, Any]) -> str:
        if options["password_stdin"]:
            return self.ask_password(from_stdin=True)
        return getpass.getpass(f"Password of {options['username']} at Authentik: ")

    def _report(
        self,
        authentik: Authentik,
        desired: DesiredState,
        result: SetupResult,
        path: Path | None,
        *,
        shows_secret: bool,
    ) -> None:
        """Print the settings, or write them to the file; messages go to standard error."""
        if authentik.is_dry:
            self.stderr.write("Nothing was changed." if authentik.changes else "Nothing to do.")
            return
        values = result.variables(desired.provider_id)
        wrote = path is not None and env_file.write(path, values)
        if not authentik.changes and not wrote:
            self.stderr.write("Nothing to do.")
        if wrote:
            self.stderr.write(f"Wrote {', '.join(values)} to {path}.")
        if path is None:
            hidden = "" if result.is_new or shows_secret else VARIABLES[desired.provider_id][2]
            for name, value in values.items():
                if name == hidden:
                    continue
                self.stdout.write(env_file.format_line(name, value))
        self._warn(desired, result)

    def _warn(self, desired: DesiredState, result: SetupResult) -> None:
        if not result.client_secret:
            self.stderr.write(
                "Authentik does not show the client secret. Keep the one that you have, or make a "
                "new one with --rotate-secret."
            )
        if desired.app_url != settings.PUBLIC_URL:
            self.stderr.write(
                f"PUBLIC_URL is {settings.PUBLIC_URL} here. Set PUBLIC_URL={desired.app_url}, else "
                "Authentik refuses the redirect URI."
            )


def _wanted(options: dict[str, Any]) -> DesiredState:
    """The requested state. Raises AuthentikError."""
    if not re.fullmatch(r"[-a-zA-Z0-9_]{1,50}", options["slug"]):
        raise AuthentikError("--slug: letters, digits, - and _ alone, at most 50.")
    if not options["name"].strip():
        raise AuthentikError("--name: give the provider a name.")
    return DesiredState(
        # authentik compares redirect URIs exactly; plain http is the choice of the administrator.
        app_url=parse_base(options["app_url"], allows_http=options["insecure_http"]),
        name=options["name"].strip(),
        slug=options["slug"],
        provider_id=options["provider_id"],
        signing_key=options["signing_key"],
        assumes_email_verified=options["verified_email"],
        rotates_secret=options["rotate_secret"],
    )


def _token(options: dict[str, Any]) -> str:
    """The API token, "" with a user name. Raises AuthentikError."""
    if options["username"]:
        return ""
    if options["password_stdin"]:
        raise AuthentikError("--password-stdin goes with --username.")
    if options["token"] is not None:
        token = str(options["token"]).strip()
    else:
        token = env_file.read(Path(options["token_file"])).strip()
    if not token:
        raise AuthentikError("The API token is empty, or its file is not there.")
    return token
