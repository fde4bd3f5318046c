"""Mappings from groups elsewhere to groups of Gatehouse, as administrators write them. Pure."""

import json
from typing import Any, NamedTuple

from accounts.group_names import folded, is_group_name
from config.environment.errors import Unreadable
from core.text.plain_text import echo

GROUPS_FIX = 'write JSON such as {"Finance Dept": "finance", "Staff": ["staff", "wiki"]}'


class Pairs(list[tuple[str, Any]]):
    """A JSON object with its repeated names."""


class MappedGroup(NamedTuple):
    """People in `value`, a group elsewhere, are in the groups `names` here."""

    value: str
    names: tuple[str, ...]


def read_pairs(text: str, what: str) -> Pairs:
    """A JSON object that is not empty, with its repeated names. Raises Unreadable."""
    try:
        pairs = json.loads(text, object_pairs_hook=Pairs)
    except json.JSONDecodeError as error:
        raise Unreadable(f"is not JSON ({error.msg} at character {error.pos + 1})") from None
    if not isinstance(pairs, Pairs) or not pairs:
        raise Unreadable(f"is not a JSON object of {what}")
    return pairs


def parse_groups_mapping(text: str) -> tuple[MappedGroup, ...]:
    """A JSON object from a group elsewhere to a group here, or to a list of them.

    Raises Unreadable.
    """
    found = [_mapped(value, names) for value, names in read_pairs(text, "groups and groups here")]
    require_once([each.value for each in found])
    return tuple(found)


def check_groups_mapping(text: str) -> str:
    """`text`, when parse_groups_mapping() can read it."""
    parse_groups_mapping(text)
    return text


def require_once(values: list[str]) -> None:
    """Raise Unreadable if a group is named twice."""
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise Unreadable(f"names the group {echo(twice)} twice; case and spaces do not count")


def _mapped(value: str, names: Any) -> MappedGroup:
    if not value.strip():
        raise Unreadable("names a group without a name")
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, list) or isinstance(listed, Pairs) or not listed:
        what = f"gives the group {echo(value)} neither a group here nor a list of them"
        raise Unreadable(what)
    wrong = next((name for name in listed if not _is_name(name)), None)
    if wrong is not None:
        what = f"gives the group {echo(value)} {echo(str(wrong))}, which no group here can be named"
        fix = "write names of letters a to z, digits, hyphens, dots and underscores, not of roles"
        raise Unreadable(what, fix)
    return MappedGroup(value, tuple(dict.fromkeys(folded(name) for name in listed)))


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and is_group_name(name)
