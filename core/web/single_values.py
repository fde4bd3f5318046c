"""Refuses requests that repeat a parameter, against HTTP parameter pollution.

Django's QueryDict returns the last value, `getlist` all of them, and the admin's `index` any. The
value that one function checks must not differ from the value that another uses.
"""

from collections.abc import Callable, Collection, Iterable

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
