"""Clean the fields of a form or request, each by its own function, and tell all errors at once."""

from collections.abc import Callable, Mapping
from typing import Any


def clean_each(
    typed: Mapping[str, Any], cleaners: Mapping[str, Callable[[Any], Any]]
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """(values to store, error messages by field). Use the values only if there are no errors.

    Fields that are not in `typed` are left out, fields without a cleaner are taken as they are. A
    cleaner raises ValueError with a message for the user.
    """
    cleaned, errors = dict(typed), dict[str, list[str]]()
    for name, clean in cleaners.items():
        if name not in typed:
            continue
        try:
            cleaned[name] = clean(typed[name])
        except ValueError as error:
            errors[name] = [str(error)]
    return cleaned, errors
