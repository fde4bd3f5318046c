"""Filters and paths of RFC 7644, sections 3.4.2.2 and 3.5.2: a recursive-descent parser. Pure.

What it returns names attributes of a schema, with values of their type, so whoever evaluates a
filter need not look at the text again.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from scim.errors import InvalidFilter, InvalidPath, ScimError, shown
from scim.schemas import Attribute, Schema

MAX_LENGTH, MAX_DEPTH, MAX_COMPARISONS = 2000, 12, 40
ORDERINGS = frozenset({"gt", "ge", "lt", "le"})
PARTS = frozenset({"co", "sw", "ew"})
COMPARING = ORDERINGS | PARTS | {"eq", "ne"}
KEYWORDS = {"true": True, "false": False, "null": None}
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<mark>[()\[\]])
    | (?P<text>"(?:[^"\\]|\\.)*")
    | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<word>[A-Za-z][\w.:$-]*)
    | (?P<sub>\.[A-Za-z$][\w$-]*)
    )""",
    re.VERBOSE | re.ASCII,
)
_NAME = re.compile(r"[A-Za-z$][\w$-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`attribute op value`. path: of lower-case names, as in `name.familyname`.

    op: an operator in lower case, or `pr`. value: a string, a boolean or a datetime, as the
    attribute has it; None for null and for `pr`. Of a complex attribute that has several values the
    sub-attribute `value` is compared.
    """

    path: str
    op: str
    value: Any
    attribute: Attribute


@dataclass(frozen=True, slots=True)
class Not:
    inner: "Filter"


@dataclass(frozen=True, slots=True)
class Both:
    """`and`, or `or` if is_any."""

    left: "Filter"
    right: "Filter"
    is_any: bool = False


@dataclass(frozen=True, slots=True)
class Element:
    """`emails[…]`: one element of the attribute for which the whole filter holds."""

    path: str
    inner: "Filter"


Filter = Comparison | Not | Both | Element


class Path(NamedTuple):
    """What a PATCH operation changes: an attribute, or elements of it, or a sub-attribute.

    attribute: None for one that the server accepts and does not keep.
    """

    attribute: Attribute | None
    inner: Filter | None = None
    sub: Attribute | None = None


class _Token(NamedTuple):
    kind: str
    text: str


def parse_filter(text: str, schema: Schema) -> Filter:
    """Raises InvalidFilter, also for attributes that the schema does not have."""
    parser = _Parser(text, schema, InvalidFilter)
    found = parser.disjunction()
    parser.expect_end()
    return found


def parse_path(text: str, schema: Schema) -> Path:
    """Raises InvalidPath, and InvalidFilter for the filter inside."""
    return _Parser(text, schema, InvalidPath).path()


def split_name(text: str, schema: Schema) -> list[str] | None:
    """The names of a dotted attribute path; None for one of another schema (RFC 7644, 3.10).

    Raises ValueError for text that is none.
    """
    urn, _colon, rest = text.rpartition(":")
    if urn and urn.lower() != schema.urn.lower():
        if not urn.lower().startswith("urn"):
            raise ValueError(text)
        return None
    names = rest.split(".")
    if len(names) > 2 or not all(_NAME.fullmatch(name) for name in names):
        raise ValueError(text)
    return names


class _Parser:
    """Reads tokens from left to right. error: what a fault of the text itself raises."""

    def __init__(self, text: str, schema: Schema, error: type[ScimError]) -> None:
        self.schema, self.error = schema, error
        self.tokens = self._tokens(text)
        self.position = self.depth = self.comparisons = 0
        self.outer: Attribute | None = None

    def _tokens(self, text: str) -> list[_Token]:
        if len(text) > MAX_LENGTH:
            raise self.error(f"At most {MAX_LENGTH} characters.")
        found, position, end = [], 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None:
                raise self.error(f"Unreadable at character {position + 1}: {shown(text)}")
            kind = str(match.lastgroup)
            found.append(_Token(kind, match[kind]))
            position = match.end()
        return found

    @property
    def next(self) -> _Token:
        if self.position < len(self.tokens):
            return self.tokens[self.position]
        return _Token("end", "the end")

    def take(self) -> _Token:
        found = self.next
        self.position += 1
        return found

    def is_word(self, word: str) -> bool:
        return self.next.kind == "word" and self.next.text.lower() == word

    def expect(self, mark: str) -> None:
        found = self.take()
        if found.text != mark or found.kind != "mark":
            raise self.error(f"Expected {mark} instead of {shown(found.text)}.")

    def expect_end(self) -> None:
        if self.next.kind != "end":
            raise self.error(f"Expected and, or, or the end instead of {shown(self.next.text)}.")

    # filters

    def disjunction(self) -> Filter:
        found = self.conjunction()
        while self.is_word("or"):
            self.take()
            found = Both(found, self.conjunction(), is_any=True)
        return found

    def conjunction(self) -> Filter:
        found = self.term()
        while self.is_word("and"):
            self.take()
            found = Both(found, self.term())
        return found

    def term(self) -> Filter:
        if self.next == ("mark", "("):
            return self._group()
        if self.is_word("not") and self.tokens[self.position + 1 : self.position + 2] == [
            ("mark", "(")
        ]:
            self.take()
            return Not(self._group())
        return self._comparison()

    def _group(self) -> Filter:
        self._descend()
        self.expect("(")
        found = self.disjunction()
        self.expect(")")
        self.depth -= 1
        return found

    def _descend(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"At most {MAX_DEPTH} levels.")

    def _comparison(self) -> Filter:
        self.comparisons += 1
        if self.comparisons > MAX_COMPARISONS:
            raise self.error(f"At most {MAX_COMPARISONS} comparisons.")
        name = self.take()
        if name.kind != "word":
            raise self.error(f"Expected the name of an attribute instead of {shown(name.text)}.")
        attribute, path = self._resolve(name.text)
        if self.next == ("mark", "["):
            return Element(path, self._elements(attribute))
        op = self.take().text.lower()
        if op == "pr":
            return Comparison(path, op, None, attribute)
        if op not in COMPARING:
            raise self.error(f"Expected an operator, such as eq, instead of {shown(op)}.")
        compared, path = _compared(attribute, path)
        return Comparison(path, op, value_of(compared, op, self._value()), compared)

    def _elements(self, attribute: Attribute) -> Filter:
        if not attribute.multi or not attribute.subs or self.outer is not None:
            raise self.error(f"{attribute.name} has no elements to choose from.")
        self._descend()
        self.expect("[")
        self.outer = attribute
        found = self.disjunction()
        self.outer = None
        self.expect("]")
        self.depth -= 1
        return found

    def _resolve(self, text: str) -> tuple[Attribute, str]:
        """The attribute and its path. Raises InvalidFilter for one that is unknown."""
        if self.outer is not None:
            sub = self.outer.sub(text)
            if sub is None:
                raise InvalidFilter(f"{self.outer.name} has no {shown(text)}.")
            return sub, f"{self.outer.name}.{sub.name}".lower()
        try:
            names = split_name(text, self.schema)
        except ValueError:
            names = None
        found = self.schema.find(names[0]) if names else None
        if names and found is not None and len(names) == 2:
            sub = found.sub(names[1])
            if sub is not None:
                return sub, f"{found.name}.{sub.name}".lower()
        elif found is not None:
            return found, found.name.lower()
        raise InvalidFilter(f"{self.schema.name} has no attribute {shown(text)} to filter by.")

    def _value(self) -> Any:
        token = self.take()
        if token.kind == "text":
            try:
                return json.loads(token.text)
            except ValueError:
                raise self.error(f"Not a JSON string: {shown(token.text)}") from None
        if token.kind == "number":
            return json.loads(token.text) if _is_json_number(token.text) else token.text
        word = token.text.lower()
        if token.kind == "word" and word in KEYWORDS:
            return KEYWORDS[word]
        raise self.error(f'Expected a value, such as "text", instead of {shown(token.text)}.')

    # paths of PATCH

    def path(self) -> Path:
        name = self.take()
        if name.kind != "word":
            raise InvalidPath(f"Expected the name of an attribute instead of {shown(name.text)}.")
        try:
            names = split_name(name.text, self.schema)
        except ValueError:
            raise InvalidPath(f"{shown(name.text)} is not the name of an attribute.") from None
        if names is None or self.schema.is_ignored(names[0]):
            return Path(None)
        attribute = self.schema.find(names[0])
        if attribute is None:
            raise InvalidPath(f"{self.schema.name} has no attribute {shown(name.text)}.")
        if self.next == ("mark", "[") and len(names) == 1:
            return self._path_of_elements(attribute)
        self._expect_end_of_path()
        return Path(attribute, sub=_sub_of(attribute, names[1]) if len(names) == 2 else None)

    def _path_of_elements(self, attribute: Attribute) -> Path:
        inner = self._elements(attribute)
        sub = None
        if self.next.kind == "sub":
            sub = _sub_of(attribute, self.take().text[1:])
        self._expect_end_of_path()
        return Path(attribute, inner, sub)

    def _expect_end_of_path(self) -> None:
        if self.next.kind != "end":
            raise InvalidPath(f"Expected the end of the path instead of {shown(self.next.text)}.")


def _is_json_number(text: str) -> bool:
    return re.fullmatch(r"-?(?:0|[1-9]\d{0,30})(?:\.\d{1,30})?", text) is not None


def _sub_of(attribute: Attribute, name: str) -> Attribute:
    found = attribute.sub(name)
    if found is None:
        raise InvalidPath(f"{attribute.name} has no sub-attribute {shown(name)}.")
    return found


def _compared(attribute: Attribute, path: str) -> tuple[Attribute, str]:
    """The attribute itself, or `value` of a complex one with several values."""
    if attribute.type != "complex":
        return attribute, path
    value = attribute.sub("value") if attribute.multi else None
    if value is None:
        raise InvalidFilter(f"Name a sub-attribute of {attribute.name} to compare it.")
    return value, f"{path}.value"


def value_of(attribute: Attribute, op: str, value: Any) -> Any:
    """The value as the attribute has it. Raises InvalidFilter if they do not compare."""
    if value is None:
        if op in ("eq", "ne"):
            return None
        raise InvalidFilter("null can only be compared by eq and ne.")
    if attribute.type == "boolean":
        return _boolean_of(attribute, op, value)
    if not isinstance(value, str) or "\0" in value or not is_unicode(value):
        raise InvalidFilter(f"{attribute.name} is compared with a text in quotes.")
    if attribute.type == "dateTime":
        return _time_of(attribute, op, value)
    return value


def _boolean_of(attribute: Attribute, op: str, value: Any) -> bool:
    """Also of the texts "True" and "False", which Entra sends."""
    if op not in ("eq", "ne"):
        raise InvalidFilter(f"{attribute.name} can only be compared by eq and ne.")
    found = KEYWORDS.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise InvalidFilter(f"{attribute.name} is compared with true or false.")
    return found


def _time_of(attribute: Attribute, op: str, value: str) -> datetime:
    if op in PARTS:
        raise InvalidFilter(f"{attribute.name} is a time: compare it by eq, ne, gt, ge, lt, le.")
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidFilter(f"Write {attribute.name} as 2027-01-31T12:00:00Z.") from None


def is_unicode(text: str) -> bool:
    """False for half of a surrogate pair, which JSON can name and no database stores."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# evaluation over resources


def matches(found: Filter, resource: Mapping[str, Any]) -> bool:
    """Whether a resource, with the names of the schema, is one that the filter selects."""
    match found:
        case Not(inner):
            return not matches(inner, resource)
        case Both(left, right, is_any):
            first = matches(left, resource)
            return first if first == is_any else matches(right, resource)
        case Element(path, inner):
            elements = _values_at(resource, [path])
            return any(element_matches(inner, element) for element in elements)
        case Comparison(path):
            values = _values_at(resource, path.split("."))
            return _compare(found, values)


def element_matches(inner: Filter, element: Mapping[str, Any]) -> bool:
    """Whether an element of the attribute is one that the filter in brackets selects."""
    match inner:
        case Not(rest):
            return not element_matches(rest, element)
        case Both(left, right, is_any):
            first = element_matches(left, element)
            return first if first == is_any else element_matches(right, element)
        case Comparison(path):
            return _compare(inner, _values_at(element, path.split(".")[1:]))
        case Element():  # the parser makes none inside of another
            return False


def _values_at(value: Any, names: list[str]) -> list[Any]:
    """All values below these names; [] where there is none."""
    if isinstance(value, list):
        return [found for each in value for found in _values_at(each, names)]
    if not names:
        return [] if value in (None, "") else [value]
    if not isinstance(value, Mapping):
        return []
    inner = next((value[name] for name in value if name.lower() == names[0]), None)
    return _values_at(inner, names[1:])


def _compare(comparison: Comparison, values: list[Any]) -> bool:
    wanted, op = comparison.value, comparison.op
    if op == "pr" or wanted is None:
        return bool(values) == (op != "eq")
    if op == "ne":
        return not _compare_any(comparison, "eq", values)
    return _compare_any(comparison, op, values)


def _compare_any(comparison: Comparison, op: str, values: list[Any]) -> bool:
    wanted = _comparable(comparison, comparison.value)
    return any(_holds(op, _comparable(comparison, value), wanted) for value in values)


def _comparable(comparison: Comparison, value: Any) -> Any:
    if comparison.attribute.type == "dateTime" and isinstance(value, str):
        return datetime.fromisoformat(value)
    if isinstance(value, str) and not comparison.attribute.case_exact:
        return value.lower()
    return value


def _holds(op: str, actual: Any, wanted: Any) -> bool:
    match op:
        case "eq":
            return bool(actual == wanted)
        case "co":
            return wanted in actual
        case "sw":
            return bool(actual.startswith(wanted))
        case "ew":
            return bool(actual.endswith(wanted))
        case "gt":
            return bool(actual > wanted)
        case "ge":
            return bool(actual >= wanted)
        case "lt":
            return bool(actual < wanted)
    return bool(actual <= wanted)
