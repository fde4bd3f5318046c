"""What depends on a group: apps of higher layers say so, and accounts imports none of them.

This is one of the seams by which other apps extend accounts; see docs/architecture.md.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from accounts.models import Group


class GroupUse(NamedTuple):
    """One thing that names a group. what: for people, as in `Access rule “Finance”`.

    url: its page in the admin panel, or "".
    """

    what: str
    url: str = ""


Finder = Callable[[Group], Iterable[GroupUse]]
_finders: list[Finder] = []


def add_group_use(finder: Finder) -> Finder:
    """Register a function that finds what names a group. Usable as a decorator."""
    _finders.append(finder)
    return finder


def uses_of(group: Group) -> list[GroupUse]:
    """Everything that names the group, in the order of registration."""
    return [use for finder in _finders for use in finder(group)]
