"""One value for one name: requests that say a name twice are refused before anybody reads them.

Django's QueryDict answers the last value, `getlist` all of them and the admin's `index` any one.
What was checked in one reading must not be another value where it is used (parameter pollution).
"""

import json
from collections.abc import Callable, Collection, Iterable
from typing import Any

from django.http import HttpResponse, QueryDict

from core.errors import RepeatedParameter

View = Callable[..., HttpResponse]


def may_repeat(*names: str) -> Callable[[View], View]:
    """For a view whose form has fields of several values, such as a group of check boxes."""

    def mark(view: View) -> View:
        view.repeatable = frozenset(names)  # type: ignore[attr-defined]  # wraps() carries it on
        return view

    return mark


def require_single(values: QueryDict, *, but: Collection[str] = ()) -> None:
    """Raise RepeatedParameter when a name has several values, those in `but` apart."""
    for name, found in values.lists():
        if len(found) > 1 and name not in but:
            raise RepeatedParameter(name)


def require_single_of(values: QueryDict, names: Iterable[str]) -> None:
    """Raise RepeatedParameter when one of `names` has several values."""
    for name in names:
        if len(values.getlist(name)) > 1:
            raise RepeatedParameter(name)


def read_json(text: str | bytes) -> Any:
    """What JSON of a client says. Raises ValueError, for a name that stands twice, too
    (RFC 8259, section 4: readers differ in which one counts)."""
    return json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_no_number)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
