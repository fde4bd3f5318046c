"""Distinguished names (RFC 4514) in one form, so that two spellings of a name are equal. Pure."""

import re
from typing import NamedTuple

_ESCAPE = re.compile(r"(?P<octets>(?:\\[0-9a-fA-F]{2})+)|\\(?P<sign>.)", re.DOTALL)
_SPECIAL = re.compile(r'([\\,+"<>;=])')
# OpenLDAP's and AD's other spellings of the attributes that stand in names.
_OTHER_NAMES = {"commonname": "cn", "2.5.4.3": "cn", "organizationalunitname": "ou",
                "2.5.4.11": "ou", "domaincomponent": "dc", "userid": "uid"}  # fmt: skip


class DNError(ValueError):
    """The text is no distinguished name."""


class Part(NamedTuple):
    """One `attribute=value`, the attribute in lower case, the value without escapes."""

    attribute: str
    value: str


Name = tuple[tuple[Part, ...], ...]


def parse_dn(text: str) -> Name:
    """The name's steps from the entry upward, each of one or more parts. Raises DNError."""
    if not text.strip():
        raise DNError("is empty")
    return tuple(
        tuple(_part(part) for part in _split(step, "+")) for step in _split(text.strip(), ",;")
    )


def normal_dn(text: str) -> str:
    """`text` as all its spellings are written here: lower case, single spaces. Raises DNError.

    For comparing, not for asking the directory.
    """
    return ",".join(
        "+".join(sorted(f"{part.attribute}={_escaped(fold(part.value))}" for part in step))
        for step in parse_dn(text)
    )


def naming_context(text: str) -> str:
    """The directory that a name is of: its steps of dc at the end, else its last step.

    "" for what is no name. Narrowing the base below the same directory changes nothing.
    """
    try:
        steps = normal_dn(text).split(",")
    except DNError:
        return ""
    domain = [step for step in steps if step.startswith("dc=")]
    return ",".join(domain or steps[-1:])


def common_names(text: str) -> tuple[str, ...]:
    """The folded values of cn in the first step of a name; of any other text, the text itself."""
    try:
        first = parse_dn(text)[0]
    except DNError:
        return (fold(text),)
    return tuple(fold(part.value) for part in first if part.attribute == "cn")


def fold(text: str) -> str:
    """As LDAP compares most texts: without regard to case and to the number of spaces."""
    return " ".join(text.split()).casefold()


def _split(text: str, separators: str) -> list[str]:
    """`text` at each separator that no backslash escapes."""
    pieces, start, place = [], 0, 0
    while place < len(text):
        if text[place] == "\\":
            place += 1
        elif text[place] in separators:
            pieces.append(text[start:place])
            start = place + 1
        place += 1
    return [*pieces, text[start:]]


def _part(text: str) -> Part:
    attribute, equals, value = text.partition("=")
    attribute = attribute.strip().lower().removeprefix("oid.")
    if not equals or re.fullmatch(r"[a-z0-9.-]+", attribute) is None:
        raise DNError(f"has the step {text.strip()[:40]!r}, which is no attribute=value")
    return Part(_OTHER_NAMES.get(attribute, attribute), _unescaped(_trimmed(value)))


def _trimmed(value: str) -> str:
    """Without spaces around it; one that is escaped at the end belongs to the value."""
    value = value.lstrip(" ")
    bare = value.rstrip(" ")
    is_escaped = (len(bare) - len(bare.rstrip("\\"))) % 2 == 1
    return bare + " " if is_escaped and len(bare) < len(value) else bare


def _unescaped(value: str) -> str:
    return _ESCAPE.sub(_unescape, value)


def _unescape(found: re.Match[str]) -> str:
    """Pairs of hexadecimal digits are octets of UTF-8; any other escaped sign is itself."""
    if found["octets"]:
        return bytes.fromhex(found["octets"].replace("\\", "")).decode("utf-8", "replace")
    return found["sign"]


def _escaped(value: str) -> str:
    return _SPECIAL.sub(r"\\\1", value)
