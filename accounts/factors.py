"""Second factors, asked by every door that ends in tokens. Upper rooms bring them.

settings.SECOND_FACTORS names objects that are Factors. No token is given before all is checked.
"""

from functools import cache
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from accounts.models import User


class Factor(Protocol):
    """One kind of second factor, such as codes of an authenticator or recovery codes."""

    def is_set_up(self, user: User) -> bool: ...

    def check(self, user: User, code: str) -> bool:
        """Is `code` right now? May spend it."""
        ...


def required(user: User) -> bool:
    """Does `user` have a second factor?"""
    return any(factor.is_set_up(user) for factor in _factors())


def check(user: User, code: str) -> bool:
    """Is `code` right for one of the factors that `user` has?"""
    return any(factor.is_set_up(user) and factor.check(user, code) for factor in _factors())


@cache
def _load(path: str) -> Factor:
    factor: Factor = import_string(path)
    return factor


def _factors() -> list[Factor]:
    return [_load(path) for path in settings.SECOND_FACTORS]
