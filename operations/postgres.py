"""PostgreSQL beside Django: plain connections, and the programs that dump and restore.

Passwords go through the environment of those programs, never through their arguments.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

import psycopg
from psycopg.conninfo import make_conninfo

from operations.errors import OperationError

INSTALL = (
    "Install PostgreSQL's client programs (Debian: postgresql-client), of the server's version"
)
NAMES = {"NAME": "dbname", "USER": "user", "HOST": "host", "PORT": "port"}
MESSAGE_LENGTH = 400


def connect(
    place: Mapping[str, Any], *, autocommit: bool = False, **more: str
) -> psycopg.Connection:
    """A connection to the database that Django's settings `place` name. Raises OperationError."""
    parameters = _parameters(place) | more
    if place.get("PASSWORD"):
        parameters["password"] = str(place["PASSWORD"])
    try:
        return psycopg.connect(autocommit=autocommit, **parameters)  # type: ignore[arg-type]  # names are libpq's
    except psycopg.OperationalError as error:
        raise OperationError(f"PostgreSQL does not let us in: {first_line(str(error))}") from None


def conninfo(place: Mapping[str, Any]) -> str:
    """libpq's connection string without the password."""
    return make_conninfo(**_parameters(place))


def has_tools(*names: str) -> bool:
    """Are these programs installed?"""
    return all(shutil.which(name) for name in names)


def run_tool(name: str, place: Mapping[str, Any], *arguments: str | Path) -> None:
    """Run pg_dump, pg_restore or psql; `--dbname` is added where `place` is not empty.

    Raises OperationError with what the program said, or where to get it.
    """
    command, environment = _prepared(name, place, arguments)
    done = subprocess.run(  # noqa: S603  # a program of PostgreSQL with arguments of ours
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise OperationError(f"{name} failed: {first_line(done.stderr)}")


def run_in_one_transaction(place: Mapping[str, Any], *parts: str | Path) -> None:
    """Run SQL texts and files of SQL with psql, all or nothing. Raises OperationError.

    This process writes the COMMIT itself as the last line: when it is killed, psql sees the end of
    its input without one, and the server undoes everything.
    """
    options = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null")
    command, environment = _prepared("psql", place, options)
    with TemporaryFile() as complaint:
        psql = subprocess.Popen(  # noqa: S603  # a program of PostgreSQL with arguments of ours
            command, env=environment, stdin=subprocess.PIPE, stderr=complaint
        )
        # psql may stop reading at an error; what it says is told below.
        with suppress(BrokenPipeError), cast("BinaryIO", psql.stdin) as script:
            for part in ("BEGIN;\n", *parts, "\nCOMMIT;\n"):
                if isinstance(part, Path):
                    with part.open("rb") as file:
                        shutil.copyfileobj(file, script)
                else:
                    script.write(part.encode())
        if psql.wait() != 0:
            complaint.seek(0)
            raise OperationError(f"psql failed: {first_line(complaint.read().decode())}")


def first_line(text: str) -> str:
    """The first line of a program's complaint that says something, cut to a readable length."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower()] or lines
    return telling[0][:MESSAGE_LENGTH] if telling else "it did not say why"


def _prepared(
    name: str, place: Mapping[str, Any], arguments: Sequence[str | Path]
) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of a program of PostgreSQL. Raises OperationError."""
    path = shutil.which(name)
    if path is None:
        raise OperationError(f"{name} is not installed here. {INSTALL}.")
    command = [path, *map(str, arguments)]
    environment = dict(os.environ)
    if place:
        command.append(f"--dbname={conninfo(place)}")
        environment["PGPASSWORD"] = str(place.get("PASSWORD") or "")
    return command, environment


def _parameters(place: Mapping[str, Any]) -> dict[str, str]:
    """libpq's names; only texts of OPTIONS are libpq's, the rest is Django's."""
    found = {theirs: str(place[ours]) for ours, theirs in NAMES.items() if place.get(ours)}
    options = {
        name: value for name, value in place.get("OPTIONS", {}).items() if isinstance(value, str)
    }
    return found | options
