"""`manage.py importclients FILE --from SYSTEM`"""

import argparse
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management import CommandError, CommandParser

from accounts.actors import SYSTEM
from accounts.roles import Role
from applications.importing.client import ImportFileError
from applications.models import App
from core.commands import GatehouseCommand
from core.text.plain_text import printable, trim_line
from federation.authentik.http import AuthentikError
from operations.importing.clients import (
    ClientResult,
    ImportOptions,
    Outcome,
    import_clients,
    plan_clients,
)
from operations.importing.sources import READERS, Export, fetch, read_file

TOKEN_VARIABLE = "AUTHENTIK_TOKEN"  # noqa: S105 - the name of a variable
WORDS = {
    Outcome.NEW: "created",
    Outcome.SAME: "exists already",
    Outcome.SKIPPED: "left out",
    Outcome.ERROR: "wrong",
}


class Command(GatehouseCommand):
    """Create apps from the clients of another system."""

    help = (
        "Create apps from the OpenID clients of authentik, Keycloak or Authelia, and from the apps "
        "behind authentik's proxies. Client ids stay, and so do secrets that can be read. What "
        "cannot be carried over is listed for each client and closes the app rather than opens it. "
        "Each client is created as a whole or not at all; those that exist are not changed. "
        "Nothing is changed in the other system. Exits with 1 if a client is wrong or nothing was "
        "created. Safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", help="the export; - for standard input; for authentik also its address"
        )
        parser.add_argument(
            "--from",
            dest="source",
            required=True,
            choices=sorted(READERS),
            help="the system that the file comes from",
        )
        parser.add_argument(
            "--token-stdin",
            action="store_true",
            help=f"read the API token of authentik from standard input, not from {TOKEN_VARIABLE}",
        )
        parser.add_argument(
            "--insecure-http", action="store_true", help="allow plain http to another machine"
        )
        parser.add_argument(
            "--role",
            default=Role.VIEWER.value,
            choices=[value for value, _label in App.LEVELS],
            help="the lowest role that enters apps that admit everyone there; viewer by default",
        )
        parser.add_argument(
            "--url",
            dest="urls",
            action="append",
            default=[],
            type=_pair,
            metavar="CLIENT=ADDRESS",
            help="the address of a client of which the export does not tell one",
        )
        parser.add_argument(
            "--without-secrets",
            action="store_true",
            help="carry no secret over; each app gets a new one",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would happen and change nothing"
        )
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def act(self, **options: Any) -> None:
        name = printable(options["file"])
        try:
            export = self._read(options)
        except ImportFileError as error:
            raise CommandError(f"{name}: {printable(str(error))}. Nothing was created.") from None
        except AuthentikError as error:
            raise CommandError(str(error)) from None
        urls = dict(options["urls"])
        unknown = urls.keys() - {each.client_id or each.label for each in export.clients}
        if unknown:
            raise CommandError(f"--url: {name} has no client {min(unknown)!r}.")
        wanted = ImportOptions(
            role=Role(options["role"]),
            secrets=not options["without_secrets"],
            urls=urls,
        )
        run = plan_clients if options["dry_run"] else import_clients
        results = run(export.clients, actor=SYSTEM, options=wanted)
        self._report(export, results, options)

    def _read(self, options: dict[str, Any]) -> Export:
        name, source = options["file"], options["source"]
        if "://" in name:
            if source != "authentik":
                raise CommandError("Only authentik is read from an address. Export a file.")
            bar = _Bar(self)
            try:
                return fetch(
                    name, self._token(options),
                    allows_http=options["insecure_http"], progress=bar.add,
                )  # fmt: skip
            finally:
                bar.end()
        if name == "-":
            return read_file(source, sys.stdin.buffer)
        if not Path(name).is_file():
            raise CommandError(f"There is no file {printable(name)}.")
        with Path(name).open("rb") as file:
            return read_file(source, file)

    def _token(self, options: dict[str, Any]) -> str:
        """From the environment or standard input: others on this machine can see arguments."""
        if options["token_stdin"]:
            token = trim_line(sys.stdin.readline())
        else:
            token = os.environ.get(TOKEN_VARIABLE, "")
        if not token:
            raise CommandError(f"Set {TOKEN_VARIABLE} to an API token, or add --token-stdin.")
        return token

    def _report(self, export: Export, results: list[ClientResult], options: dict[str, Any]) -> None:
        counts = Counter(result.outcome for result in results)
        is_dry = options["dry_run"]
        if options["json"]:
            totals = {outcome.value: counts[outcome] for outcome in Outcome}
            self.stdout.write(
                json.dumps(
                    {"done": bool(counts[Outcome.NEW]) and not is_dry, **totals,
                     "remarks": list(export.remarks), "clients": list(map(_record, results))}
                )
            )  # fmt: skip
        else:
            self._tell(export, results, counts, is_dry=is_dry)
        name = printable(options["file"])
        if counts[Outcome.ERROR]:
            number = counts[Outcome.ERROR]
            said = f"{number} {'client is' if number == 1 else 'clients are'} wrong in {name}."
            raise CommandError(f"{said} {_about_others(counts, is_dry=is_dry)}")
        if not results:
            raise CommandError(f"{name} has no clients. Nothing was created.")
        if not counts[Outcome.NEW] and not is_dry:
            raise CommandError("Nothing was created: every client exists already or is left out.")

    def _tell(
        self, export: Export, results: list[ClientResult], counts: Counter[Outcome], *, is_dry: bool
    ) -> None:
        for result in results:
            self.stdout.write(_line(result, is_dry=is_dry))
            for note in result.notes:
                self.stdout.write(f"    {printable(note)}")
        for remark in export.remarks:
            self.stdout.write(remark)
        self.stdout.write(
            f"{counts[Outcome.NEW]} {'would be created' if is_dry else 'created'}, "
            f"{counts[Outcome.SAME]} exist already, {counts[Outcome.SKIPPED]} left out, "
            f"{counts[Outcome.ERROR]} wrong."
        )


class _Bar:
    """What has been fetched, in one line on a terminal; silent elsewhere."""

    def __init__(self, command: Command) -> None:
        self._out, self._is_used = command.stderr, False

    def add(self, name: str, count: int) -> None:
        """The list `name` is complete."""
        if self._out.isatty():
            self._is_used = True
            self._out.write(f"\r{name}: {count} read".ljust(40), ending="")

    def end(self) -> None:
        if self._is_used:
            self._out.write("")


def _line(result: ClientResult, *, is_dry: bool) -> str:
    client = result.client
    word = WORDS[result.outcome]
    if result.outcome is Outcome.NEW and is_dry:
        word = "would be created"
    who = client.client_id or ("behind a proxy" if client.is_proxied else "")
    line = f"{client.label} ({who})" if who not in ("", client.label) else client.label
    line = f"{line}: {word}"
    if result.has_secret:
        line += ", with its secret"
    if result.message:
        line += f": {result.message}"
    return printable(line)


def _record(result: ClientResult) -> dict[str, Any]:
    client, app = result.client, result.app
    return {
        "client": client.label,
        "client_id": client.client_id or None,
        "outcome": result.outcome.value,
        "app": app.slug if app else None,
        "secret_carried_over": result.has_secret,
        "notes": result.notes,
        "message": result.message,
    }


def _about_others(counts: Counter[Outcome], *, is_dry: bool) -> str:
    if is_dry:
        return "Nothing was changed."
    return "The others were imported." if counts[Outcome.NEW] else "Nothing was created."


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.rpartition("=")
    if not sign or not key:
        raise argparse.ArgumentTypeError(f"{text!r} has no = between client and address")
    return key, value
