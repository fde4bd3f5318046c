"""`manage.py importusers FILE`"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management import CommandError, CommandParser

from accounts.actors import SYSTEM
from accounts.roles import Role
from accounts.services.bulk.imports import import_users, plan_import
from accounts.services.bulk.planning import ImportOptions, ImportResult, Outcome, sentence
from accounts.user_files.fields import READ_FIELDS
from accounts.user_files.sources import SOURCES
from core.commands import GatehouseCommand

ERRORS_SHOWN = 50
BAR = 30


class Command(GatehouseCommand):
    """Create accounts from a file."""

    help = (
        "Create accounts from a file: CSV with a first line of column names, or JSON objects. "
        "Addresses that have an account change nothing, so the same file can be imported again. "
        "Without --skip-errors a single wrong row cancels the whole file, and every wrong row is "
        "listed with its line. Sends no mail. Exits with 1 if rows are wrong or nothing was read. "
        "Safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="the file; - for standard input")
        parser.add_argument(
            "--from",
            dest="source",
            default="",
            choices=sorted(SOURCES),
            help="the file is the user table, or its export, of this system",
        )
        parser.add_argument(
            "--map",
            dest="mapping",
            action="append",
            default=[],
            type=_pair,
            metavar="FIELD=COLUMN",
            help=f"the column of a field, if its name does not tell: {', '.join(READ_FIELDS)}",
        )
        parser.add_argument(
            "--map-role",
            dest="role_map",
            action="append",
            default=[],
            type=_pair,
            metavar="THEIRS=OURS",
            help="the role for a role of the file, as in --map-role USER=editor",
        )
        parser.add_argument(
            "--role",
            default=Role.VIEWER.value,
            choices=[role.value for role in Role],
            help="the role of rows without one; viewer by default",
        )
        parser.add_argument(
            "--verified",
            action="store_true",
            help="addresses of rows that do not say it count as verified",
        )
        parser.add_argument(
            "--without-passwords",
            action="store_true",
            help="ignore password hashes; people sign in with a link or through a provider",
        )
        parser.add_argument(
            "--update",
            action="store_true",
            help="change name, role, state, ends and groups of accounts that exist",
        )
        parser.add_argument(
            "--skip-errors", action="store_true", help="import the other rows if some are wrong"
        )
        parser.add_argument(
            "--allow-owners", action="store_true", help="rows with the role owner make owners"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would happen and change nothing"
        )
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def act(self, **options: Any) -> None:
        wanted = ImportOptions(
            source=options["source"],
            mapping=self._mapping(options),
            update=options["update"],
            skip_errors=options["skip_errors"],
            allow_owners=options["allow_owners"],
            default_role=options["role"],
            verified=options["verified"],
            passwords=not options["without_passwords"],
            role_map=dict(options["role_map"]),
        )
        run = plan_import if options["dry_run"] else import_users
        with self._opened(options["file"]) as stream:
            bar = _Bar(self, stream)
            try:
                result = run(stream, actor=SYSTEM, options=wanted, progress=bar.add)
            finally:
                bar.end()
        self._report(result, as_json=options["json"], is_dry=options["dry_run"])

    def _mapping(self, options: dict[str, Any]) -> dict[str, str] | None:
        if options["mapping"] and options["source"]:
            raise CommandError("Use either --from or --map.")
        return dict(options["mapping"]) or None

    @contextmanager
    def _opened(self, name: str) -> Iterator[BinaryIO]:
        """The file; standard input is copied, because it is read twice."""
        if name == "-":
            with tempfile.TemporaryFile() as copy:
                shutil.copyfileobj(sys.stdin.buffer, copy)
                yield copy
            return
        if not Path(name).is_file():
            raise CommandError(f"There is no file {name}.")
        with Path(name).open("rb") as file:
            yield file

    def _report(self, result: ImportResult, *, as_json: bool, is_dry: bool) -> None:
        counts = {outcome.value: result.counts[outcome] for outcome in Outcome}
        if as_json:
            errors = [
                {"line": each.line, "field": each.field, "email": each.email,
                 "message": sentence(each)}
                for each in result.errors
            ]  # fmt: skip
            self.stdout.write(json.dumps({"done": result.is_done, **counts, "errors": errors}))
        else:
            self._tell(result, is_dry=is_dry)
        if result.counts[Outcome.ERROR]:
            raise CommandError(_outcome_of_errors(result, is_dry=is_dry))
        if not result.total:
            raise CommandError("The file has no rows. Nothing was done.")

    def _tell(self, result: ImportResult, *, is_dry: bool) -> None:
        for each in result.errors[:ERRORS_SHOWN]:
            who = f" ({each.email})" if each.email else ""
            self.stderr.write(f"line {each.line}{who}: {each.field}: {sentence(each)}")
        if len(result.errors) > ERRORS_SHOWN:
            self.stderr.write(f"and more: {len(result.errors)} errors; --json lists 1000 of them")
        if result.mapping:
            pairs = ", ".join(f"{field}={column}" for field, column in result.mapping.items())
            self.stderr.write(f"Columns: {pairs}.")
        if result.names_left_out:
            self.stderr.write(
                f"{result.names_left_out} user names cannot be used here and were left out."
            )
        counts = result.counts
        is_plan = is_dry or (bool(counts[Outcome.ERROR]) and not result.is_done)
        self.stdout.write(
            f"{counts[Outcome.NEW]} {'would be created' if is_plan else 'created'}, "
            f"{counts[Outcome.UPDATE]} {'would be updated' if is_plan else 'updated'}, "
            f"{counts[Outcome.SAME]} unchanged, {counts[Outcome.ERROR]} wrong."
        )


class _Bar:
    """A progress bar on a terminal, silent elsewhere. It shows how much of the file is read.

    An import reads the file twice: to check it, and to write the accounts.
    """

    def __init__(self, command: Command, stream: BinaryIO) -> None:
        self._out, self._stream = command.stderr, stream
        self._size = stream.seek(0, os.SEEK_END) or 1
        self._stage, self._rows = "", 0

    def add(self, stage: str, count: int) -> None:
        """`count` more rows are checked or written."""
        self._rows = count + (self._rows if stage == self._stage else 0)
        self._stage = stage
        if self._out.isatty():
            self._out.write(f"\r{self._line()}", ending="")

    def end(self) -> None:
        if self._rows and self._out.isatty():
            self._out.write("")

    def _line(self) -> str:
        filled = min(BAR, BAR * self._stream.tell() // self._size)
        return f"[{'#' * filled}{'.' * (BAR - filled)}] {self._rows} rows {self._stage}"


def _outcome_of_errors(result: ImportResult, *, is_dry: bool) -> str:
    number = result.counts[Outcome.ERROR]
    rows = f"{number} {'row is' if number == 1 else 'rows are'} wrong."
    if is_dry:
        return f"{rows} Nothing was changed."
    if result.is_done:
        return f"{rows} The others were imported."
    return f"{rows} Nothing was imported: correct them, or add --skip-errors."


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise argparse.ArgumentTypeError(f"{text!r} has no = between two names")
    return key, value
