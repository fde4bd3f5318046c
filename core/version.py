"""The version of this code, as pyproject.toml names it; a test holds the two together."""

VERSION = "0.1.0"


def numbers(version: str) -> tuple[int, ...]:
    """1.10.2 -> (1, 10, 2), so that versions can be compared; what is no number counts as 0."""
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))
