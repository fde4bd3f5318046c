"""Search filters (RFC 4515) with placeholders: `(uid={username})`. Pure.

Placeholders are {username}, {user_dn} and their doubled forms; any other brace is kept. What
replaces a placeholder is escaped, so it is always a value.
"""

import re
from dataclasses import dataclass

USERNAME, USER_DN = "username", "user_dn"
_PLACE = re.compile(r"\{\{(username|user_dn)\}\}|\{(username|user_dn)\}")
_UNSAFE = re.compile(r"[\\*()\x00-\x1f\x7f]")
_BY_RULE = re.compile(r"\([^()=]*:=\*\)")
ANYBODY = "(objectClass=*)"


class FilterError(ValueError):
    """The text is no filter. The message continues the name of the setting."""


@dataclass(frozen=True, slots=True)
class FilterTemplate:
    """A filter with placeholders, made by parse_filter(). places: the names of those it has."""

    text: str
    places: frozenset[str]

    def __str__(self) -> str:
        return self.text

    def fill(self, username: str = "", user_dn: str = "") -> str:
        """The filter for this user; escapes the values."""
        values = {USERNAME: escape(username), USER_DN: escape(user_dn)}
        return _PLACE.sub(lambda found: values[found[1] or found[2]], self.text)

    def for_anybody(self) -> str:
        """A filter that matches every user whom this filter matches with some name."""
        filled = re.sub(r"\*{2,}", "*", _PLACE.sub("*", self.text))
        # A matching rule takes no wildcard.
        return _BY_RULE.sub(ANYBODY, filled)


def escape(value: str) -> str:
    """`value` escaped for a filter (RFC 4515, section 3)."""
    return _UNSAFE.sub(lambda found: f"\\{ord(found[0]):02x}", value)


def parse_filter(text: str, *places: str) -> FilterTemplate:
    """The template; also accepts LibreChat's form without outer parentheses.

    places: it must have at least one of these, and no other. Raises FilterError.
    """
    text = text.strip()
    if not text.startswith("("):
        text = f"({text})"
    end = _filter_end(text, 0)
    if end != len(text):
        raise FilterError(f"goes on after its last parenthesis: {text[end:][:40]!r}")
    found = {found[1] or found[2] for found in _PLACE.finditer(text)}
    wanted = " or ".join(f"{{{place}}}" for place in places)
    if not found & set(places):
        raise FilterError(f"has no {wanted}, so that it would mean the same for every user")
    if found - set(places):
        raise FilterError(f"may hold {wanted} alone")
    return FilterTemplate(text, frozenset(found))


def _filter_end(text: str, start: int) -> int:
    """The index after the filter that begins at `start`."""
    if text[start : start + 1] != "(":
        raise FilterError(f"needs a parenthesis at {text[start : start + 20]!r}")
    if text[start + 1 : start + 2] in ("&", "|", "!"):
        return _list_end(text, start + 2)
    end = start + 1
    while end < len(text) and text[end] not in "()":
        end += 1
    if text[end : end + 1] != ")":
        raise FilterError("has parentheses that do not match")
    _check_item(text[start + 1 : end])
    return end + 1


def _list_end(text: str, place: int) -> int:
    first = place
    while text[place : place + 1] == "(":
        place = _filter_end(text, place)
    if text[place : place + 1] != ")":
        raise FilterError("has parentheses that do not match")
    if place == first:
        raise FilterError("has &, | or ! with nothing in it")
    return place + 1


def _check_item(item: str) -> None:
    attribute, equals, value = item.partition("=")
    if not equals or not attribute.strip() or not value:
        raise FilterError(f"holds ({item[:40]}), which is no (attribute=value)")
    if _PLACE.search(attribute):
        raise FilterError(f"holds ({item[:40]}) with a place for a name before the =")
