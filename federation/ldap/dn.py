"""Distinguished names (RFC 4514) in a normal form, in which all spellings are equal. Pure."""

import re
from typing import NamedTuple

_ESCAPE = re.compile(r"(?P<octets>(?:\\[0-9a-fA-F]{2})+)|\\(?P<sign>.)", re.DOTALL)
_SPECIAL = re.compile(r'([\\,+"<>;=])')
# Other names of attributes in OpenLDAP and Active Directory.
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
    """The RDNs from the entry upwards, each of one or more parts. Raises DNError."""
    if not text.strip():
        raise DNError("is empty")
    return tuple(
        tuple(_part(part) for part in _split(step, "+")) for step in _split(text.strip(), ",;")
    )


def normal_dn(text: str) -> str:
    """`text` in normal form: lower case, single spaces. Raises DNError.

    For comparisons, not for searches.
    """
    return ",".join(
        "+".join(sorted(f"{part.attribute}={_escaped(fold(part.value))}" for part in step))
        for step in parse_dn(text)
    )


def naming_context(text: str) -> str:
    """The directory of a name: its dc components, else its last RDN; "" if it is no name.

    A narrower base in the same directory gives the same result.
    """
    try:
        steps = normal_dn(text).split(",")
    except DNError:
        return ""
    domain = [step for step in steps if step.startswith("dc=")]
    return ",".join(domain or steps[-1:])


def common_names(text: str) -> tuple[str, ...]:
    """The folded values of cn in the first RDN of a name; of any other text, the text itself."""
    try:
        first = parse_dn(text)[0]
    except DNError:
        return (fold(text),)
    return tuple(fold(part.value) for part in first if part.attribute == "cn")


def fold(text: str) -> str:
    """`text` as LDAP compares most texts: case and the number of spaces do not count."""
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
    """Without spaces around it, except an escaped one at the end."""
    value = value.lstrip(" ")
    bare = value.rstrip(" ")
    is_escaped = (len(bare) - len(bare.rstrip("\\"))) % 2 == 1
    return bare + " " if is_escaped and len(bare) < len(value) else bare


def _unescaped(value: str) -> str:
    return _ESCAPE.sub(_unescape, value)


def _unescape(found: re.Match[str]) -> str:
    """Pairs of hexadecimal digits are octets of UTF-8; any other escaped character is itself."""
    if found["octets"]:
        return bytes.fromhex(found["octets"].replace("\\", "")).decode("utf-8", "replace")
    return found["sign"]


def _escaped(value: str) -> str:
    return _SPECIAL.sub(r"\\\1", value)
