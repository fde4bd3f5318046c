"""Reads the objects of a file by their tables, and tells everything that is wrong. Pure.

What a value means is validated by the services that store it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from difflib import get_close_matches
from typing import Any

from core.text.plain_text import printable
from operations.as_code.document import MAX_KEY, Node
from operations.as_code.fields import (
    VERSION,
    Entry,
    Field,
    Problems,
    Reference,
    Table,
    Type,
)

Wrong = Callable[..., Any]
# Of the name of a variable; nothing else can be set by a shell.
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
# What people look for in vain, and what to do instead.
HINTS = {
    "password": "a file has no passwords: people sign in with a link, and choose one then",
    "position": "the order of the file decides",
    "id": "objects are known by their names",
}


def entries_of(
    document: Node, tables: Sequence[Table], problems: Problems, zone: tzinfo
) -> dict[str, list[Entry]]:
    """The objects of the file by table; for tables that it names. Problems are added."""
    top = document.value
    if not isinstance(top, dict):
        problems.add(document.line, "", "the file has to begin with fields, such as “version: 1”")
        return {}
    by_name = {table.name: table for table in tables}
    version = top.get("version")
    if version is None or version.value != VERSION or isinstance(version.value, bool):
        line = version.line if version else document.line
        problems.add(line, "version", f"write “version: {VERSION}” as the first line")
    found = {}
    for name, node in top.items():
        if name == "version":
            continue
        if name not in by_name:
            _unknown(name, document.keys[name], "", [*by_name, "version"], problems)
            continue
        found[name] = list(_entries(by_name[name], node, problems, zone))
    return found


def _entries(table: Table, node: Node, problems: Problems, zone: tzinfo) -> Iterator[Entry]:
    if node.value is None:
        return
    if not table.key:
        if isinstance(node.value, dict):
            yield _entry(table, 0, node, table.name, problems, zone)
        else:
            problems.add(node.line, table.name, "this has to be fields with values")
        return
    if not isinstance(node.value, list):
        problems.add(node.line, table.name, "this has to be a list: begin each object with “- ”")
        return
    if len(node.value) > table.most:
        problems.add(node.line, table.name, f"there may be {table.most} at most")
        return
    for index, each in enumerate(node.value):
        path = f"{table.name}[{index}]"
        if isinstance(each.value, dict):
            yield _entry(table, index, each, path, problems, zone)
        else:
            problems.add(each.line, path, f"this has to be fields, beginning with “{table.key}: ”")


def _entry(
    table: Table, index: int, node: Node, path: str, problems: Problems, zone: tzinfo
) -> Entry:
    values: dict[str, Any] = {}
    for name, each in node.value.items():
        if name not in table.names:
            _unknown(name, node.keys[name], path, table.names, problems)
            continue
        value = _value(table.field(name), each, f"{path}.{name}", problems, zone)
        if value is not _WRONG:
            values[name] = value
    for each in table.fields:
        if each.is_required and each.name not in node.value:
            problems.add(node.line, path, f"{each.name} is missing")
    key = str(values.get(table.key, "")) if table.key else table.name
    return Entry(table, index, node.line, key, values, node.value)


_WRONG = object()


def _value(one: Field, node: Node, path: str, problems: Problems, zone: tzinfo) -> Any:
    """The value of a field; _WRONG after a problem. No message repeats a value of a secret."""

    def wrong(message: str, line: int = 0, item: str = "") -> Any:
        problems.add(line or node.line, path + item, message)
        return _WRONG

    if one.type is Type.TIME:
        return _time(node.value, wrong, zone)
    return _READERS[one.type](one, node, wrong)


def _text(one: Field, node: Node, wrong: Wrong) -> Any:
    if not isinstance(node.value, str):
        return wrong(_no_text(node.value))
    if one.choices and node.value not in one.choices:
        return wrong(_choices(one.choices))
    return node.value


def _text_or_reference(one: Field, node: Node, wrong: Wrong) -> Any:
    is_reference = isinstance(node.value, dict)
    return (_reference if is_reference else _text)(one, node, wrong)


def _flag(one: Field, node: Node, wrong: Wrong) -> Any:
    return node.value if isinstance(node.value, bool) else wrong("write true or false")


def _objects(one: Field, node: Node, wrong: Wrong) -> Any:
    found = _plain(node)
    return found if isinstance(found, list) else wrong("this has to be a list")


def _secret(one: Field, node: Node, wrong: Wrong) -> Any:
    if isinstance(node.value, dict):
        return _reference(one, node, wrong)
    return wrong(
        "a secret does not belong into this file: write {env: NAME} or {file: /run/secrets/name}"
    )


def _image(one: Field, node: Node, wrong: Wrong) -> Any:
    if isinstance(node.value, dict):
        return _reference(one, node, wrong)
    return wrong("write {file: logo.png}")


def _texts(one: Field, node: Node, wrong: Wrong) -> Any:
    if not isinstance(node.value, list):
        return wrong("this has to be a list, as in [first, second]")
    texts = []
    for item, each in enumerate(node.value):
        if not isinstance(each.value, str):
            wrong(_no_text(each.value), each.line, f"[{item}]")
        elif one.choices and each.value not in one.choices:
            wrong(_choices(one.choices), each.line, f"[{item}]")
        else:
            texts.append(each.value)
    if len(texts) != len(node.value):
        return _WRONG
    if one.most and len(texts) > one.most:
        return wrong(f"there may be {one.most} at most")
    return texts


def _no_text(value: Any) -> str:
    if isinstance(value, dict | list):
        return "this has to be a text"
    if value is None:
        return 'this is empty: write a text, or "" for none'
    return "this has to be a text: put it in quotation marks"


def _choices(choices: Sequence[str]) -> str:
    named = [each or '""' for each in choices]
    return f"choose {', '.join(named[:-1])} or {named[-1]}" if len(named) < 30 else (
        "this is not in the list of the documentation"
    )  # fmt: skip


def _reference(one: Field, node: Node, wrong: Wrong) -> Any:
    kinds = ("file",) if one.type is Type.IMAGE else ("env", "file")
    names = list(node.value)
    if len(names) != 1 or names[0] not in kinds:
        return wrong(f"a reference has one field: {' or '.join(kinds)}")
    kind, name = names[0], node.value[names[0]].value
    if not isinstance(name, str) or not name or "\0" in name:
        return wrong(f"{kind} has to be a text")
    if kind == "env" and not _VARIABLE.fullmatch(name):
        return wrong("env has to be the name of a variable, as in {env: WIKI_SECRET}")
    return Reference(kind, name)


def _time(value: Any, wrong: Wrong, zone: tzinfo) -> Any:
    """A moment, or None; a date is the end of that day."""
    if value in (None, ""):
        return None
    try:
        text = str(value) if isinstance(value, str) else ""
        if len(text) == len("2026-12-04"):
            day = date.fromisoformat(text) + timedelta(days=1)
            return datetime.combine(day, time(), zone)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return wrong("write a date or a time, as in 2026-12-04 or 2026-12-04T17:00+01:00")
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _plain(node: Node) -> Any:
    """The value without its lines."""
    if isinstance(node.value, dict):
        return {name: _plain(each) for name, each in node.value.items()}
    return [_plain(each) for each in node.value] if isinstance(node.value, list) else node.value


def _unknown(name: str, line: int, path: str, names: Sequence[str], problems: Problems) -> None:
    near = get_close_matches(name, names, n=1)
    if near:
        text = f"there is no such field; did you mean {near[0]}?"
    else:
        text = HINTS.get(name) or f"there is no such field, but: {', '.join(names)}"
    problems.add(line, f"{path}.{printable(name[:MAX_KEY])}".lstrip("."), text)


_READERS: dict[Type, Callable[[Field, Node, Wrong], Any]] = {
    Type.TEXT: _text,
    Type.FLAG: _flag,
    Type.TEXTS: _texts,
    Type.OBJECTS: _objects,
    Type.SECRET: _secret,
    Type.TEXT_OR_REFERENCE: _text_or_reference,
    Type.IMAGE: _image,
}
