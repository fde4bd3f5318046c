"""What the tables that describe the file consist of. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, NamedTuple

from operations.as_code.document import Node

VERSION = 1


class Type(Enum):
    """What a field holds."""

    TEXT = auto()
    FLAG = auto()
    TEXTS = auto()
    # JSON Web Keys.
    OBJECTS = auto()
    TIME = auto()
    # A reference to a variable or a file; never the value itself.
    SECRET = auto()
    # A text that may be a secret, so a reference is accepted too.
    TEXT_OR_REFERENCE = auto()
    # A reference to a file with an image.
    IMAGE = auto()


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object in the file.

    default: what a field that is left out means. is_kept: leaving it out changes nothing instead.
    most: characters of the text, or entries of the list; 0 is left to the services. choices: of the
    text, or of the texts in the list. is_hidden: neither shown nor kept, compared by its digest.
    """

    name: str
    type: Type
    help: str
    default: Any = ""
    choices: tuple[str, ...] = ()
    most: int = 0
    is_required: bool = False
    is_kept: bool = False
    is_hidden: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A list of objects in the file, or one object. key: the field by which an object is known.

    key "": there is one object. repeats: several objects may have the same key; they are told
    apart by their order. is_ordered: their order decides something. most: how many objects.
    """

    name: str
    help: str
    fields: tuple[Field, ...]
    key: str = "name"
    repeats: bool = False
    is_ordered: bool = False
    most: int = 500

    def field(self, name: str) -> Field:
        return next(each for each in self.fields if each.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.fields)


class Reference(NamedTuple):
    """Where a value stands: in a variable of the environment, or in a file."""

    kind: str
    name: str


class Problem(NamedTuple):
    """What is wrong in the file. path: as in `apps[2].redirect_uris[0]`."""

    line: int
    path: str
    message: str


class Problems:
    """Collects what is wrong, so that everything is told at once."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def add(self, line: int, path: str, message: str) -> None:
        """Each place and message once."""
        if (one := Problem(line, path, message.rstrip("."))) not in self._found:
            self._found.append(one)

    def __bool__(self) -> bool:
        return bool(self._found)

    def __iter__(self) -> Iterator[Problem]:
        return iter(sorted(self._found, key=lambda each: each.line))


@dataclass(frozen=True, slots=True)
class Entry:
    """An object of the file. key: what tells it from others of its table, in its stored form.

    values: of the fields that the file names. nodes: where they stand.
    """

    table: Table
    index: int
    line: int
    key: str
    values: dict[str, Any] = field(repr=False)
    nodes: dict[str, Node] = field(repr=False)

    @property
    def path(self) -> str:
        return f"{self.table.name}[{self.index}]" if self.table.key else self.table.name

    def place(self, name: str, item: int | None = None) -> tuple[int, str]:
        """(line, path) of a field, or of an entry of its list."""
        node = self.nodes.get(name)
        if node is None:
            return self.line, f"{self.path}.{name}"
        if item is not None and isinstance(node.value, list):
            return node.value[item].line, f"{self.path}.{name}[{item}]"
        return node.line, f"{self.path}.{name}"

    def wanted(self) -> dict[str, Any]:
        """The values that the object is to have: defaults for what the file leaves out."""
        return {
            each.name: self.values.get(each.name, each.default)
            for each in self.table.fields
            if each.name in self.values or not each.is_kept
        }


def without_defaults(table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """What an export writes and the database keeps: the key, and what differs from the defaults."""
    return {
        each.name: values[each.name]
        for each in table.fields
        if each.name in values
        and (each.is_required or each.name == table.key or values[each.name] != each.default)
    }
