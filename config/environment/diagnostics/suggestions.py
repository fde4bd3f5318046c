"""Suggests a known name for a misspelt one. Strict, because environments contain many names."""

import difflib
import re
from collections.abc import Iterable

CLOSE = 0.86
CLOSE_FIRST_WORD = 0.7
MAX_LENGTH_DIFFERENCE = 4
MIN_NAME_LENGTH = 6

_UPPER = re.compile(r"[A-Z][A-Z0-9_]*")


def suggest_name(name: str, known: Iterable[str], *, is_ours: bool) -> str:
    """The known name that `name` was probably meant to be, or "".

    is_ours: it is a line of .env, so lower case counts, too.
    """
    upper = name.upper()
    if len(name) < MIN_NAME_LENGTH or not (is_ours or _UPPER.fullmatch(name)):
        return ""
    likeness = {candidate: _likeness(upper, candidate) for candidate in known}
    best = max(likeness, key=lambda candidate: likeness[candidate], default="")
    return best if best and likeness[best] >= CLOSE else ""


def _likeness(name: str, candidate: str) -> float:
    """0 to 1; cheap tests come first, because there are some ten thousand pairs."""
    if name == candidate:
        return 1.0
    if abs(len(name) - len(candidate)) > MAX_LENGTH_DIFFERENCE or len(candidate) < MIN_NAME_LENGTH:
        return 0.0
    if name[:2] != candidate[:2] and name[-3:] != candidate[-3:]:
        return 0.0
    first, candidate_first = name.partition("_")[0], candidate.partition("_")[0]
    if difflib.SequenceMatcher(None, first, candidate_first).ratio() < CLOSE_FIRST_WORD:
        return 0.0
    return difflib.SequenceMatcher(None, name, candidate).ratio()
