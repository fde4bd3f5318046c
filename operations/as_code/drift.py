"""Where the database differs from the file last applied: somebody has changed it elsewhere."""

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from operations.as_code.changes import FieldChange, shown
from operations.as_code.managed import Managed, Record, comparable_values, record_of
from operations.as_code.object_types import KINDS
from operations.as_code.run import Kind, Stored
from operations.models import AppliedConfiguration


class How(StrEnum):
    """How an object differs."""

    CHANGED = "changed"
    MISSING = "missing"
    MOVED = "moved"


class Drift(NamedTuple):
    """An object that differs. id: of its row. key "": the order of the table.

    fields: before is what the file said; both texts are "" for a value that is not shown.
    """

    how: How
    table: str
    key: str
    id: str
    fields: tuple[FieldChange, ...] = ()


class State(NamedTuple):
    """The file last applied, and what differs from it."""

    digest: str
    applied_at: datetime
    counts: dict[str, int]
    drift: tuple[Drift, ...]


def current_state() -> State | None:
    """None if no file was ever applied. One query then, else a fixed number of them.

    Each kind reads one or two tables that have a small limit, and of accounts only those that the
    file names.
    """
    row = AppliedConfiguration.objects.filter(pk=AppliedConfiguration.ONLY).first()
    if row is None:
        return None
    record = record_of(row)
    counts = {
        kind.table.name: count
        for kind in KINDS
        if (count := sum(each.table == kind.table.name for each in record.objects))
    }
    return State(row.digest, row.applied_at, counts, tuple(_drift(record)))


def _drift(record: Record) -> list[Drift]:
    found: list[Drift] = []
    for kind in KINDS:
        managed = [each for each in record.objects if each.table == kind.table.name]
        if not managed:
            continue
        stored = kind.read({each.key for each in managed})
        for each in managed:
            row = stored.get(each.key)
            if row is None or not each.is_row(row):
                found.append(Drift(How.MISSING, each.table, each.key, ""))
            elif fields := _fields(kind, each, row):
                key = each.key if kind.table.key else ""
                found.append(Drift(How.CHANGED, each.table, key, row.id, fields))
        if kind.table.is_ordered and _is_moved(managed, stored):
            found.append(Drift(How.MOVED, kind.table.name, "", ""))
    return found


def _fields(kind: Kind, managed: Managed, stored: Stored) -> tuple[FieldChange, ...]:
    wanted, now = managed.values or {}, comparable_values(kind, stored)
    found = []
    for field in kind.table.fields:
        name = field.name
        # What the file does not decide, or a variable does by now.
        if name not in now or (field.is_kept and name not in wanted):
            continue
        before: Any = wanted.get(name, field.default)
        if before != now[name]:
            texts = ("", "") if field.is_hidden else (shown(field, before), shown(field, now[name]))
            found.append(FieldChange(name, *texts))
    return tuple(found)


def _is_moved(managed: list[Managed], stored: dict[str, Stored]) -> bool:
    wanted = [each.id for each in managed]
    return [row.id for row in stored.values() if row.id in wanted] != [
        key for key in wanted if key in {row.id for row in stored.values()}
    ]
