"""The groups of a person in one cell: `finance, lab until 2035-01-31`. Pure."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from accounts.group_names import folded

_WITH_END = re.compile(r"(?P<name>\S+)\s+until\s+(?P<end>\S+)", re.IGNORECASE)


class GroupCell(NamedTuple):
    """A membership as a file describes it. until: None for one without an end."""

    name: str
    until: datetime | None = None

    def __str__(self) -> str:
        if self.until is None:
            return self.name
        end = self.until.astimezone(UTC).isoformat().replace("+00:00", "Z")
        return f"{self.name} until {end}"


def parse_groups(text: str, read_end: Callable[[str], datetime | None]) -> tuple[GroupCell, ...]:
    """The groups of a cell, separated by commas or semicolons, in the order of the cell.

    Raises whatever `read_end` raises for an end that cannot be read.
    """
    parts = [part.strip() for part in re.split("[,;]", text)]
    return tuple(_parsed(part, read_end) for part in parts if part)


def _parsed(part: str, read_end: Callable[[str], datetime | None]) -> GroupCell:
    found = _WITH_END.fullmatch(part)
    if found is None:
        return GroupCell(folded(part))
    return GroupCell(folded(found["name"]), read_end(found["end"]))


def format_groups(groups: Iterable[GroupCell]) -> str:
    """The cell that parse_groups() reads, in the order of names."""
    return ", ".join(str(group) for group in sorted(groups))
