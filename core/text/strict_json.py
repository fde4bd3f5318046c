"""JSON without repeated names and without constants that JSON does not have. Pure.

Parsers differ in which of two equal names counts (RFC 8259, section 4).
"""

import json
from typing import Any


def read_json(text: str | bytes) -> Any:
    """Parse JSON of a client. Raises ValueError, also for a repeated name."""
    return json.loads(text, object_pairs_hook=_unique_names, parse_constant=_refuse_constant)


def read_json_object(text: str, position: int) -> tuple[Any, int]:
    """Parse the JSON value that begins there, as read_json() does; returns it and its end.

    Raises ValueError, of which json.JSONDecodeError may mean that the text ends too soon.
    """
    return _DECODER.raw_decode(text, position)


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is repeated")
    return found


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_names, parse_constant=_refuse_constant)
