"""A whole move from the configured database to another one; the work of `manage.py movedata`."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from django.conf import settings
from django.db import connection

from config.environment.databases import database_settings
from config.environment.errors import Unreadable
from core.locks import AUDIT
from core.models import NamedLock
from operations.adapters import Store, store_of
from operations.copying import Move, count_of
from operations.errors import OperationError
from operations.locks import alone, require_stopped
from operations.post_restore import MARK
from operations.prepare import pending_migrations
from operations.progress import Bar, Writer
from operations.subprocesses import environment_for, manage, sqlite_url
from operations.tables import house_tables


class Moved(NamedTuple):
    """url: the new DATABASE_URL. counts: rows by table. audit: what the check of the log said."""

    url: str
    counts: dict[str, int]
    audit: str


def move_to(url: str, out: Writer, say: Callable[[str], None]) -> Moved:
    """Copy everything to the empty database at `url`. The old one is locked and not changed.

    Raises OperationError.
    """
    place = _target_place(url)
    if place["ENGINE"].endswith("sqlite3"):
        url = sqlite_url(Path(place["NAME"]))
    with alone(say):
        require_stopped()
        _require_ready()
        source, target = _opened(place)
        try:
            return _move(source, target, url, out)
        except (sqlite3.Error, psycopg.Error) as error:
            raise OperationError(f"The databases disagree: {error}".strip()) from error
        finally:
            target.close()
            source.close()


def _move(source: Store, target: Store, url: str, out: Writer) -> Moved:
    tables = house_tables()
    source.hold(tables)
    total = sum(count_of(source, table) for table in tables)
    move = Move(source, target, tables, _stamp(source))
    environment = environment_for(url)
    move.begin(lambda: _migrate(target, environment))
    bar = Bar(out, total)
    move.copy(bar)
    bar.end()
    bar = Bar(out, 2 * total if move.is_resumed else total)
    counts = move.check(bar)
    bar.end()
    # The log is checked before the note goes: what does not hold is never served.
    verdict = manage("verifyaudit", environment=environment).strip()
    move.end()
    return Moved(url, counts, verdict)


def _migrate(target: Store, environment: dict[str, str]) -> None:
    """In a process of its own, for which the target is the database."""
    target.commit()
    manage("migrate", "--verbosity=0", "--no-input", environment=environment)


def _opened(place: dict[str, Any]) -> tuple[Store, Store]:
    """Both ends; Django's own connection is closed, so that it holds nothing up."""
    connection.close()
    source = store_of(connection.settings_dict)
    try:
        return source, store_of(place, is_new=True)
    except OperationError:
        source.close()
        raise


def _target_place(url: str) -> dict[str, Any]:
    try:
        place = database_settings(url, settings.DATA_DIR)
    except Unreadable as error:
        raise OperationError(f"--to {error.what}; {error.fix}.") from None
    here = connection.settings_dict
    if all(str(place.get(name, "")) == str(here[name]) for name in ("NAME", "HOST", "PORT")):
        raise OperationError("--to names the database that is in use.")
    return place


def _require_ready() -> None:
    if pending_migrations():
        raise OperationError("This database is older than the code. Run `manage.py upgrade` first.")
    if NamedLock.objects.filter(pk=MARK).exists():
        raise OperationError("A restore is not finished. Run `manage.py upgrade` first.")


def _stamp(source: Store) -> dict[str, str]:
    """The head of the audit log, in which nearly every act leaves a row."""
    rows = source.run(
        f"SELECT seq, hash FROM {NamedLock._meta.db_table} WHERE name = {source.place}",  # noqa: S608
        [AUDIT],
    )
    return {"audit": json.dumps(rows[0])}
