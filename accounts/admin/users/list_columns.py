"""Columns that other apps add to the user list, and what they say below a user's state."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.expressions import BaseExpression

from accounts.models import User

# Called for each list. Each expression runs once for each user of a page, so it needs an index.
Annotations = Callable[[], Mapping[str, BaseExpression]]


class ListColumn(NamedTuple):
    """A column. shown: called with a user who has the annotations as attributes."""

    label: Any
    annotations: Annotations
    shown: Callable[[Any], str]


_columns: dict[str, ListColumn] = {}
_state_details: dict[str, ListColumn] = {}


def user_list_column(name: str, column: ListColumn) -> None:
    """Add a column to the user list; a second one of the same name replaces it."""
    _columns[name] = column


def user_state_detail(name: str, detail: ListColumn) -> None:
    """Say more about a user's state, such as why they are banned; `shown` may return ""."""
    _state_details[name] = detail


def with_list_columns(users: "QuerySet[User]") -> "QuerySet[User]":
    """Annotate the users with what the columns and details read."""
    for column in (*_columns.values(), *_state_details.values()):
        users = users.annotate(**column.annotations())
    return users


def list_columns() -> list[Callable[[User], str]]:
    """The columns as Django's `list_display` takes them."""
    return [_function(name, column) for name, column in _columns.items()]


def state_details_of(user: User) -> list[str]:
    """The details of a user's state, without empty ones."""
    found = [detail.shown(user) for detail in _state_details.values()]
    return [text for text in found if text]


def _function(name: str, column: ListColumn) -> Callable[[User], str]:
    @admin.display(description=column.label)
    def shown(user: User) -> str:
        return column.shown(user)

    shown.__name__ = name
    return shown
