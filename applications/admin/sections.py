"""How other apps add to the pages of apps: sections, further pages, and what a deletion leaves.

One of the seams of docs/architecture.md. Sections are those of the page of a user: a table of
cells, or a template of their own.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest
from django.urls import URLPattern

from accounts.admin.users.sections import Content
from applications.models import App

# None hides the section.
Build = Callable[[HttpRequest, App], Content | None]
# Sentences that name what stays when this app is deleted.
Remainder = Callable[[App], Iterable[Any]]


class Section(NamedTuple):
    """A part of the page. name: its anchor."""

    name: str
    title: Any
    build: Build


# The URL patterns of further pages below the list; their views are behind `admin_view`.
Pages = Callable[["ModelAdmin[Any]"], list[URLPattern]]
# Who may enter comes first; other sections follow in the order of their registration.
_FIRST = "rules"
_pages: list[Pages] = []
_sections: dict[str, Section] = {}
_remainders: list[Remainder] = []


def add_section(name: str, title: Any, build: Build) -> None:
    """Show a section on the page of each app; a second one of the same name replaces it."""
    _sections[name] = Section(name, title, build)


def add_remainder(build: Remainder) -> None:
    """Say on the page that asks before a deletion what stays."""
    _remainders.append(build)


def add_pages(build: Pages) -> None:
    """Add pages to the table of apps; their URL names begin with `applications_app_`."""
    _pages.append(build)


def pages_of(table: "ModelAdmin[Any]") -> list[URLPattern]:
    """All further pages."""
    return [pattern for build in _pages for pattern in build(table)]


def sections_of(request: HttpRequest, app: App) -> list[dict[str, Any]]:
    """Template context of each section that is shown."""
    ordered = sorted(_sections.values(), key=lambda one: one.name != _FIRST)
    built = [(one, one.build(request, app)) for one in ordered]
    return [
        {"name": one.name, "title": one.title, "content": content}
        for one, content in built
        if content is not None
    ]


def remainder_of(app: App) -> list[Any]:
    """All sentences about what stays."""
    return [sentence for build in _remainders for sentence in build(app)]
