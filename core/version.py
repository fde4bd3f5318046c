"""The version of this code. pyproject.toml reads it from here."""

VERSION = "0.1.0"


def numbers(version: str) -> tuple[int, ...]:
    """1.10.2 -> (1, 10, 2), to compare versions; a part that is not a number counts as 0."""
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))
