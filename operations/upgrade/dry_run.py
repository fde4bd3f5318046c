"""Dry run of an upgrade on a copy: how long it takes, what it locks, whether the result works."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import psycopg
from django.conf import settings
from django.db import connection
from psycopg import sql

from operations.backup.create import copy_sqlite, dump_postgres, secret_files
from operations.errors import OperationError
from operations.locks import others_connected
from operations.postgres import connect, first_line, has_tools, run_tool
from operations.subprocesses import environment_for, python, sqlite_url

SMOKE = "import django; django.setup(); from operations.upgrade.smoke import main; main()"
SETTINGS = "config.rehearsal_settings"
NO_COPY = (
    "The database is in use, and pg_dump and pg_restore are not installed here to copy it. "
    "Install PostgreSQL's client programs, or stop the server for the dry run."
)


class DryRunResult(NamedTuple):
    """migrations and checks: as smoke.py reports them. copied_in: seconds for the copy."""

    copied_in: float
    migrations: list[dict[str, Any]]
    checks: list[dict[str, Any]]


def dry_run() -> DryRunResult:
    """Copy the database, migrate and test the copy, delete it. Raises OperationError."""
    root = Path(settings.DATA_DIR)
    with TemporaryDirectory(prefix="rehearsal-", dir=root) as name:
        folder = Path(name)
        for path, file in secret_files().items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copy2(file, target)
        started = monotonic()
        with _copy(folder) as url:
            copied_in = monotonic() - started
            environment = environment_for(
                url, DATA_DIR=str(folder), DJANGO_SETTINGS_MODULE=SETTINGS
            )
            found = json.loads(python(SMOKE, environment).splitlines()[-1])
    return DryRunResult(copied_in, found["migrations"], found["checks"])


@contextmanager
def _copy(folder: Path) -> Iterator[str]:
    """The DATABASE_URL of a copy, which is deleted afterwards."""
    if connection.vendor == "sqlite":
        copy = folder / "gatehouse.sqlite3"
        copy_sqlite(Path(connection.settings_dict["NAME"]), copy)
        yield sqlite_url(copy)
        return
    settings_dict = connection.settings_dict
    connection.close()
    name = f"{settings_dict['NAME'][:40]}_rehearsal_{os.getpid()}"
    copy_settings = {**settings_dict, "NAME": name}
    try:
        _fill_postgres(settings_dict, copy_settings, folder)
        yield _with_database(settings.ENV["DATABASE_URL"], name)
    finally:
        _drop(settings_dict, name)


def _fill_postgres(settings_dict: dict[str, Any], copy: dict[str, Any], folder: Path) -> None:
    """Copy as a template if no one else is connected, which is fastest; else dump and restore."""
    with connect(settings_dict) as database:
        is_used = bool(others_connected(database))
    if is_used and not has_tools("pg_dump", "pg_restore"):
        raise OperationError(NO_COPY)
    template = "template1" if is_used else settings_dict["NAME"]
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    _run_beside(
        settings_dict, statement.format(sql.Identifier(copy["NAME"]), sql.Identifier(template))
    )
    if is_used:
        dump = folder / "copy.dump"
        dump_postgres(settings_dict, dump)
        run_tool("pg_restore", copy, "--no-owner", "--no-privileges", "--exit-on-error", dump)


def _drop(settings_dict: dict[str, Any], name: str) -> None:
    statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
    _run_beside(settings_dict, statement.format(sql.Identifier(name)))


def _run_beside(settings_dict: dict[str, Any], statement: sql.Composed) -> None:
    """Run a statement outside of a transaction, in the database `postgres`."""
    with connect({**settings_dict, "NAME": "postgres"}, autocommit=True) as database:
        try:
            database.execute(statement)
        except psycopg.Error as error:
            raise OperationError(
                f"PostgreSQL refuses to create a copy: {first_line(str(error))}. The user of the "
                "database needs the right CREATEDB for a dry run."
            ) from None


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
