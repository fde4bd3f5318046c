"""What differs between two states, for people."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from core.text.plain_text import printable
from operations.as_code.fields import Field, Table, Type
from operations.as_code.object_types import KINDS
from operations.as_code.run import Kind, Stored

MAX_VALUE = 200
SIGNS = {"create": "+", "change": "~", "remove": "-"}


class FieldChange(NamedTuple):
    """before, after: as text; both "" for a value that is not shown."""

    name: str
    before: str
    after: str


class Change(NamedTuple):
    """action: create, change or remove. key "": the order of the table. note: what became of it."""

    action: str
    table: str
    key: str
    fields: tuple[FieldChange, ...] = ()
    note: str = ""

    @property
    def title(self) -> str:
        """`apps: wiki`."""
        return f"{self.table}: {self.key}" if self.key else self.table


def changes_between(
    before: Mapping[str, Mapping[str, Stored]],
    after: Mapping[str, Mapping[str, Stored]],
    secrets: Mapping[tuple[str, str], list[str]],
    removed: Collection[tuple[str, str]],
) -> Iterator[Change]:
    """The differences, in the order of the file. removed: what is reported by itself.

    secrets: of each object, by (table, key), the secrets that were stored anew.
    """
    for kind in KINDS:
        table = kind.table
        old, new = before[table.name], after[table.name]
        for key, row in new.items():
            hidden = [FieldChange(name, "", "") for name in secrets.get((table.name, key), ())]
            if (table.name, key) in removed:
                continue
            if key not in old:
                fields = (*_created(table, row), *hidden)
                yield Change("create", table.name, key, fields)
                continue
            fields = (*_changed(kind, old[key], row), *hidden)
            if fields:
                yield Change("change", table.name, key if table.key else "", fields)
        if table.is_ordered:
            yield from _moved(table, old, new)


def _created(table: Table, row: Stored) -> Iterator[FieldChange]:
    for field in table.fields:
        value = row.values.get(field.name, field.default)
        if field.name != table.key and value != field.default:
            yield FieldChange(field.name, "", "" if field.is_hidden else shown(field, value))


def _changed(kind: Kind, old: Stored, new: Stored) -> Iterator[FieldChange]:
    for field in kind.table.fields:
        if field.name in kind.initial and old.id == new.id:
            continue
        before = old.values.get(field.name, field.default)
        after = new.values.get(field.name, field.default)
        if before != after:
            texts = ("", "") if field.is_hidden else (shown(field, before), shown(field, after))
            yield FieldChange(field.name, *texts)


def _moved(table: Table, old: Mapping[str, Stored], new: Mapping[str, Stored]) -> Iterator[Change]:
    """Whether rows that are in both states changed places."""
    before = [key for key in old if key in new]
    after = [key for key in new if key in old]
    if before != after:
        texts = ", ".join(before)[:MAX_VALUE], ", ".join(after)[:MAX_VALUE]
        yield Change("change", table.name, "", (FieldChange("order", *texts),))


def shown(field: Field, value: Any) -> str:
    """A value in one line, as in JSON."""
    if field.type is Type.TIME:
        value = value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value or ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > MAX_VALUE:
        text = f"{text[: MAX_VALUE - 1]}…"
    return printable(text) or '""'


def diff_lines(changes: Iterable[Change]) -> Iterator[str]:
    """The changes as text, a line each, as `apply` prints them."""
    for change in changes:
        note = f" ({change.note})" if change.note else ""
        yield printable(f"{SIGNS[change.action]} {change.title}{note}")
        for field in change.fields:
            yield printable(f"    {field.name}: {_line(change, field)}")


def _line(change: Change, field: FieldChange) -> str:
    if not field.before and not field.after:
        return "set" if change.action == "create" else "changed"
    return field.after if change.action == "create" else f"{field.before} -> {field.after}"
