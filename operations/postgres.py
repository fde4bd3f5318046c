"""PostgreSQL without Django: plain connections, and the client programs pg_dump and psql.

Passwords are passed in the environment of those programs, never in their arguments.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from core.lazy import LazyModule
from operations.errors import OperationError

if TYPE_CHECKING:
    import psycopg
else:
    psycopg = LazyModule("psycopg")

INSTALL = (
    "Install PostgreSQL's client programs (Debian: postgresql-client), of the server's version"
)
NAMES = {"NAME": "dbname", "USER": "user", "HOST": "host", "PORT": "port"}
MESSAGE_LENGTH = 400


def connect(
    settings_dict: Mapping[str, Any], *, autocommit: bool = False, **more: str
) -> "psycopg.Connection":
    """Connect to the database of these Django settings. Raises OperationError."""
    parameters = _parameters(settings_dict) | more
    if settings_dict.get("PASSWORD"):
        parameters["password"] = str(settings_dict["PASSWORD"])
    try:
        return psycopg.connect(autocommit=autocommit, **parameters)  # type: ignore[arg-type]  # names are libpq's
    except psycopg.OperationalError as error:
        raise OperationError(
            f"PostgreSQL refuses the connection: {first_line(str(error))}"
        ) from None


def conninfo(settings_dict: Mapping[str, Any]) -> str:
    """libpq's connection string without the password."""
    return psycopg.conninfo.make_conninfo(**_parameters(settings_dict))


def has_tools(*names: str) -> bool:
    """Are these programs installed?"""
    return all(shutil.which(name) for name in names)


def run_tool(name: str, settings_dict: Mapping[str, Any], *arguments: str | Path) -> None:
    """Run pg_dump, pg_restore or psql, with `--dbname` unless `settings_dict` is empty.

    Raises OperationError with the error of the program, or how to install it.
    """
    command, environment = _prepared(name, settings_dict, arguments)
    done = subprocess.run(  # noqa: S603  # a PostgreSQL program with our own arguments
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise OperationError(f"{name} failed: {first_line(done.stderr)}")


def run_in_one_transaction(settings_dict: Mapping[str, Any], *parts: str | Path) -> None:
    """Run SQL strings and SQL files with psql in one transaction. Raises OperationError.

    This process writes COMMIT as the last line. If it is killed, psql reaches the end of its input
    without COMMIT, and the server rolls back.
    """
    options = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null")
    command, environment = _prepared("psql", settings_dict, options)
    with TemporaryFile() as error_output:
        psql = subprocess.Popen(  # noqa: S603  # a PostgreSQL program with our own arguments
            command, env=environment, stdin=subprocess.PIPE, stderr=error_output
        )
        # psql may stop reading at an error, which is reported below.
        with suppress(BrokenPipeError), cast("BinaryIO", psql.stdin) as script:
            for part in ("BEGIN;\n", *parts, "\nCOMMIT;\n"):
                if isinstance(part, Path):
                    with part.open("rb") as file:
                        shutil.copyfileobj(file, script)
                else:
                    script.write(part.encode())
        if psql.wait() != 0:
            error_output.seek(0)
            raise OperationError(f"psql failed: {first_line(error_output.read().decode())}")


def first_line(text: str) -> str:
    """The most useful line of a program's error output, shortened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()] or lines
    return errors[0][:MESSAGE_LENGTH] if errors else "no error message"


def _prepared(
    name: str, settings_dict: Mapping[str, Any], arguments: Sequence[str | Path]
) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of a PostgreSQL program. Raises OperationError."""
    path = shutil.which(name)
    if path is None:
        raise OperationError(f"{name} is not installed here. {INSTALL}.")
    command = [path, *map(str, arguments)]
    environment = dict(os.environ)
    if settings_dict:
        command.append(f"--dbname={conninfo(settings_dict)}")
        environment["PGPASSWORD"] = str(settings_dict.get("PASSWORD") or "")
    return command, environment


def _parameters(settings_dict: Mapping[str, Any]) -> dict[str, str]:
    """Parameters for libpq. Of OPTIONS only the strings are for libpq; the rest is for Django."""
    found = {
        theirs: str(settings_dict[ours])
        for ours, theirs in NAMES.items()
        if settings_dict.get(ours)
    }
    options = {
        name: value
        for name, value in settings_dict.get("OPTIONS", {}).items()
        if isinstance(value, str)
    }
    return found | options
