"""How apps add sections, notices and buttons to the page of one user.

This is one of the seams by which other apps extend accounts; see docs/architecture.md. A section
is a short table of the newest rows, or a template of the app.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from accounts.models import User

Item = TypeVar("Item")
# Rows that a section shows; it reads one more, to know whether there are others.
SHOWN = 10


class Button(NamedTuple):
    """A button of a row: runs the action `action` of the list at `url` on the row `key`.

    For rows without a list see accounts.admin.users.row_actions. question: names the object and
    the consequence; it is shown before the button that confirms.
    """

    url: str
    action: str
    key: str
    label: Any
    question: Any


class Row(NamedTuple):
    """One line of a section: a cell for each column, and perhaps a button."""

    cells: Sequence[Any]
    button: Button | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What a section shows about one user.

    columns: headings. rows: newest first; the page shows so many of them. more: URL of the list of
    all of them. empty: the text instead of no rows. note: a sentence above the table.
    template, context: rendered below the table, for what is no table. stylesheet: of the template,
    a static file.
    """

    columns: Sequence[Any] = ()
    rows: Sequence[Row] = ()
    more: str = ""
    empty: Any = ""
    note: Any = ""
    template: str = ""
    context: dict[str, Any] = field(default_factory=dict)
    stylesheet: str = ""
    shown: int = SHOWN

    @property
    def labelled_rows(self) -> list[dict[str, Any]]:
        """The shown rows; each cell with its heading, which small screens show beside it."""
        return [
            {"cells": list(zip(self.columns, row.cells, strict=True)), "button": row.button}
            for row in self.rows[: self.shown]
        ]

    @property
    def is_empty(self) -> bool:
        return not self.rows and not self.template

    @property
    def has_buttons(self) -> bool:
        return any(row.button for row in self.rows[: self.shown])

    @property
    def count(self) -> str:
        """The number of rows, as the menu of the page shows it."""
        return str(len(self.rows)) if len(self.rows) <= self.shown else f"{self.shown}+"


class Section(NamedTuple):
    """A part of the page. name: its anchor. build: called for each page, with a fixed number of
    queries that an index answers.
    """

    name: str
    title: Any
    build: Callable[[HttpRequest, User], Content]


class Notice(NamedTuple):
    """A state that an administrator must know, at the top of the page.

    tone: bad, warn, good or plain. text: why. until: when it ends by itself.
    """

    tone: str
    title: Any
    text: Any = ""
    until: datetime | None = None


Notices = Callable[[HttpRequest, User], Iterable[Notice]]
# The order of sections; others follow in the order of their registration.
_ORDER = (
    "groups", "reach", "denials", "sessions", "app-access", "programs", "keys", "links",
    "invitations", "factors", "browsers", "providers", "moderation",
)  # fmt: skip
_LAST = "history"
_sections: dict[str, Section] = {}
_notices: list[Notices] = []


def add_section(name: str, title: Any, build: Callable[[HttpRequest, User], Content]) -> None:
    """Show a section on the page of each user; a second one of the same name replaces it."""
    _sections[name] = Section(name, title, build)


def add_notices(build: Notices) -> None:
    """Show what `build` finds at the top of the page of each user."""
    _notices.append(build)


def sections() -> list[Section]:
    """The registered sections in the order of the page."""
    return sorted(_sections.values(), key=lambda section: _rank(section.name))


def notices_of(request: HttpRequest, user: User) -> list[Notice]:
    """All notices about the user, in the order of registration."""
    return [notice for build in _notices for notice in build(request, user)]


def newest(rows: Iterable[Item]) -> list[Item]:
    """SHOWN + 1 of a sorted queryset, which is enough for a section."""
    return list(rows[: SHOWN + 1])  # type: ignore[index]  # a queryset


def found_in(list_name: str, text: str, field: str = "q") -> str:
    """URL of a list of the admin that is filtered by `text`."""
    return f"{reverse(f'admin:{list_name}_changelist')}?{urlencode({field: text})}"


def _rank(name: str) -> int:
    if name == _LAST:
        return len(_ORDER) + 1
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)
