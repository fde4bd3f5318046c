"""`manage.py exportusers`"""

import os
from pathlib import Path
from typing import Any

from django.core.management import CommandError, CommandParser

from accounts.actors import SYSTEM
from accounts.roles import Role
from accounts.services.bulk.exports import BYTE_ORDER_MARK, ExportFilter, export_users
from core.commands import GatehouseCommand


class Command(GatehouseCommand):
    """Write users as CSV."""

    help = (
        "Write users as CSV, oldest first, in the columns that `importusers` reads. Cells that a "
        "spreadsheet program would run as a formula begin with an apostrophe, which `importusers` "
        "removes. Changes nothing, and exits with 1 if no account matches."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", nargs="?", default="-", help="the new file; standard output by default"
        )
        parser.add_argument("--search", default="", help="part of an address, user name or name")
        parser.add_argument(
            "--role", default="", choices=[role.value for role in Role], help="only this role"
        )
        parser.add_argument(
            "--state", default="", choices=["active", "disabled"], help="only these accounts"
        )
        parser.add_argument(
            "--with-password-hashes",
            action="store_true",
            help="add the column password_hash, to move accounts to another instance",
        )
        parser.add_argument(
            "--bom", action="store_true", help="begin with a byte order mark, as Excel needs it"
        )

    def act(self, **options: Any) -> None:
        chosen = ExportFilter(
            search=options["search"],
            role=options["role"],
            is_active={"active": True, "disabled": False}.get(options["state"]),
        )
        if not chosen.users().exists():
            raise CommandError("No account matches.")
        with_hashes = options["with_password_hashes"]
        lines = export_users(actor=SYSTEM, chosen=chosen, with_hashes=with_hashes)
        mark = BYTE_ORDER_MARK if options["bom"] else ""
        if options["file"] == "-":
            self.stdout.write(mark, ending="")
            for line in lines:
                self.stdout.write(line, ending="")
            return
        self._write(Path(options["file"]), mark, lines)

    def _write(self, path: Path, mark: str, lines: Any) -> None:
        """Write a new file that only its owner may read."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise CommandError(f"{path} exists. Choose another name.") from None
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}.") from error
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(mark)
            count = sum(1 for line in lines if file.write(line)) - 1  # without the column names
        self.stderr.write(f"{count} accounts written to {path}.")
