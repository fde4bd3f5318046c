"""What can be wrong with a setting, in words that tell a person what to do about it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class Unreadable(ValueError):
    """A value that a parser refuses: `what` is wrong with it and the `fix`, without full stops.

    Neither may hold the value of a secret.
    """

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one variable. It names values only where they are no secrets."""

    name: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.name}: {self.what}. Fix: {self.fix}."


class SettingsError(Exception):
    """The settings do not allow a start. Its text has one line for each problem, all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def missing(name: str, other: str, fix: str = "") -> Problem:
    """`name` must be set, because `other` is."""
    return Problem(name, f"is missing while {other} is set", fix or f"set it, or remove {other}")


def incomplete_pair(values: Mapping[str, Any], first: str, second: str) -> Iterator[Problem]:
    """The two settings must be set together."""
    for name, other in ((first, second), (second, first)):
        if values[other] is not None and values[name] is None:
            yield missing(name, other)


def without_effect(name: str, needed: str, fix: str = "set that, or remove it") -> Problem:
    """`name` is set, but does nothing without `needed`."""
    return Problem(name, f"has no effect without {needed}", fix)
