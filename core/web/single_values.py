"""Refuses requests that repeat a parameter, against HTTP parameter pollution.

Django's QueryDict returns the last value, `getlist` all of them, and the admin's `index` any. The
value that one function checks must not differ from the value that another uses.
"""

import json
from collections.abc import Callable, Collection, Iterable
from typing import Any

from django.http import HttpResponse, QueryDict

from core.errors import RepeatedParameter

View = Callable[..., HttpResponse]


def may_repeat(*names: str) -> Callable[[View], View]:
    """Decorator of a view whose form has fields with several values, such as check boxes."""

    def decorate(view: View) -> View:
        view.repeatable = frozenset(names)  # type: ignore[attr-defined]  # wraps() carries it on
        return view

    return decorate


def require_single(values: QueryDict, *, but: Collection[str] = ()) -> None:
    """Raise RepeatedParameter when a name, except those in `but`, has several values."""
    for name, found in values.lists():
        if len(found) > 1 and name not in but:
            raise RepeatedParameter(name)


def require_single_of(values: QueryDict, names: Iterable[str]) -> None:
    """Raise RepeatedParameter when one of `names` has several values."""
    for name in names:
        if len(values.getlist(name)) > 1:
            raise RepeatedParameter(name)


def read_json(text: str | bytes) -> Any:
    """Parse JSON of a client. Raises ValueError, also for a repeated name.

    Parsers differ in which of two equal names counts (RFC 8259, section 4).
    """
    return json.loads(text, object_pairs_hook=_unique_names, parse_constant=_refuse_constant)


def read_json_object(text: str, position: int) -> tuple[Any, int]:
    """Parse the JSON value that begins there, strictly as read_json(); returns it and its end.

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
