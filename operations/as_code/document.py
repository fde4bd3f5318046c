"""Reads YAML or JSON into values that know their line. Pure.

Nothing is constructed but texts, numbers, booleans, lists and mappings with text keys. Plain values
mean what they mean in YAML 1.2, so `no` is a text. Anchors, aliases and tags are refused: a file
that repeats itself grows without bound, and a tag could name a type.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from core.text.plain_text import printable
from core.text.strict_json import read_json

MAX_BYTES, MAX_DEPTH = 1024 * 1024, 12
# Characters of a field's name in a message.
MAX_KEY = 60
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False,
             "FALSE": False}  # fmt: skip


class DocumentError(Exception):
    """The file cannot be read. line: 0 if it is about the whole file. Contains no value of it."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.message, self.line = message, line


@dataclass(frozen=True, slots=True)
class Node:
    """A value with the line on which it begins.

    value: a text, number, boolean or None, a list of nodes, or a dictionary of nodes. Its repr does
    not show it, because it may be a secret that does not belong there. keys: the line of each key.
    """

    value: Any = field(repr=False)
    line: int
    keys: dict[str, int] = field(default_factory=dict, repr=False)


def read_document(content: bytes) -> Node:
    """The document in a file. Raises DocumentError."""
    if len(content) > MAX_BYTES:
        raise DocumentError(f"the file is larger than {MAX_BYTES // 1024} KiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DocumentError("the file is no UTF-8 text", line) from None
    if text.lstrip()[:1] == "{":
        _require_json(text)
        # Where JSON allows a tab it is a space, and YAML has no tabs there.
        text = text.replace("\t", " ")
    return _read_yaml(text)


def plain_value(text: str) -> Any:
    """What a text means that stands without quotation marks (YAML 1.2.2, section 10.3)."""
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _require_json(text: str) -> None:
    try:
        read_json(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 0)
        # Its own message may quote the file; a repeated name is reported with its line below.
        if line or isinstance(error, RecursionError):
            raise DocumentError("this is not JSON", line) from None


def _read_yaml(text: str) -> Node:
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        events = _events(loader)
        if not isinstance(next(events), yaml.DocumentStartEvent):
            raise DocumentError("the file is empty")
        node = _node(next(events), events, 0)
        _end, further = next(events), next(events)
        if not isinstance(further, yaml.StreamEndEvent):
            raise DocumentError("the file has more than one document", _line(further))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise DocumentError(f"this is not YAML: {error.problem or 'it cannot be read'}",
                            line) from None  # fmt: skip
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DocumentError("the file contains a character that YAML does not allow",
                            line) from None  # fmt: skip
    except yaml.YAMLError:
        raise DocumentError("this is not YAML") from None
    finally:
        if loader is not None:
            loader.dispose()
    return node


def _events(loader: yaml.SafeLoader) -> Iterator[yaml.Event]:
    """The events behind the start of the stream."""
    get_event: Any = loader.get_event
    get_event()
    while loader.check_event():
        yield get_event()


def _node(event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
    line = _line(event)
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise DocumentError("anchors and aliases are not read: write the value out", line)
    if getattr(event, "tag", None):
        raise DocumentError("tags are not read: write the value without one", line)
    if depth > MAX_DEPTH:
        raise DocumentError("the file is nested too deeply", line)
    if isinstance(event, yaml.ScalarEvent):
        return Node(_scalar(event), line)
    if isinstance(event, yaml.SequenceStartEvent):
        found = []
        while not isinstance(each := next(events), yaml.SequenceEndEvent):
            found.append(_node(each, events, depth + 1))
        return Node(found, line)
    return _mapping(events, line, depth)


def _mapping(events: Iterator[yaml.Event], line: int, depth: int) -> Node:
    values: dict[str, Node] = {}
    keys: dict[str, int] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key = _node(event, events, depth + 1)
        if not isinstance(event, yaml.ScalarEvent) or not event.value:
            raise DocumentError("the name of a field has to be a text", key.line)
        if event.value in values:
            name, first = printable(event.value[:MAX_KEY]), keys[event.value]
            raise DocumentError(f"{name} stands here twice, first in line {first}", key.line)
        keys[event.value] = key.line
        values[event.value] = _node(next(events), events, depth + 1)
    return Node(values, line, keys)


def _scalar(event: yaml.ScalarEvent) -> Any:
    text: str = event.value
    if event.style is not None:
        # JSON writes characters beyond the first plane as two escapes, which YAML keeps apart.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return plain_value(text)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
