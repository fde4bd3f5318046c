"""Checks whether the configured database holds an instance, for the messages of commands."""

import sqlite3

from django.conf import settings
from django.db import Error, connection

from core.health import is_migrated

FIRST_TABLE = "accounts_user"


def missing_instance() -> str:
    """Why commands cannot work here, and the fix; "" if the database is usable."""
    connection.close()  # a broken transaction cannot run queries
    try:
        tables = connection.introspection.table_names()
    except Error:
        return (
            f"DATABASE_URL: {where()} does not answer. Start the database, or correct the address."
        )
    if FIRST_TABLE not in tables:
        return (
            f"There is no Gatehouse instance in {where()}. Start one with `manage.py serve`, or "
            "set DATA_DIR or DATABASE_URL to the right one."
        )
    if not is_migrated():
        return (
            f"The database {where()} is not up to date. Start `manage.py serve`, or run "
            "`manage.py migrate`."
        )
    return ""


def explain(error: BaseException) -> str:
    """missing_instance() for an error of the database, "" for any other."""
    return missing_instance() if _is_of_database(error) and not connection.in_atomic_block else ""


def _is_of_database(error: BaseException) -> bool:
    """An error of Django, sqlite3 or psycopg, which is not loaded where SQLite is the database."""
    if isinstance(error, Error | sqlite3.Error):
        return True
    return any(kind.__module__.partition(".")[0] == "psycopg" for kind in type(error).__mro__)


def where() -> str:
    """The database of the settings, without user and password."""
    database = settings.DATABASES["default"]
    hosts = str(database.get("HOST") or "").split(",")
    if not any(hosts):
        return str(database["NAME"])
    ports = str(database.get("PORT") or "5432").split(",")
    ports = ports if len(ports) == len(hosts) else ports * len(hosts)
    places = [f"{host}:{port or 5432}" for host, port in zip(hosts, ports, strict=True)]
    return f"{', '.join(places)} (database {database['NAME']})"
