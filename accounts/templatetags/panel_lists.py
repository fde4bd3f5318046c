"""The lists of the admin panel: cells that know their column, links to sort, active filters."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

register = template.Library()
_CELL = re.compile(r"^<(td|th)\b")
ROLES = {"td": "cell", "th": "rowheader"}


class SortLink(NamedTuple):
    """A column by which the list can be sorted. url: sort by it, or turn its order round."""

    label: str
    url: str
    is_current: bool
    is_ascending: bool


@register.filter
def labelled(cells: Iterable[str], headers: list[dict[str, Any]]) -> list[SafeString]:
    """Django's cells, with the name of their column for phones, where each row is a card.

    A table that is not displayed as one is none for a screen reader either, unless roles say so.
    """
    return [_labelled(cell, header) for cell, header in zip(cells, headers, strict=False)]


def _labelled(cell: str, header: dict[str, Any]) -> SafeString:
    is_box = "action-checkbox-column" in header.get("class_attrib", "")
    name = "" if is_box else escape(capfirst(str(header["text"])))

    def opening(found: re.Match[str]) -> str:
        return f'<{found[1]} role="{ROLES[found[1]]}" data-label="{name}"'

    # The cell is HTML that Django has escaped; only attributes are added.
    return mark_safe(_CELL.sub(opening, cell))  # noqa: S308


@register.filter
def sort_links(headers: list[dict[str, Any]]) -> list[SortLink]:
    """The columns by which the list can be sorted."""
    return [
        SortLink(
            capfirst(str(header["text"])),
            header["url_primary"],
            header["sorted"],
            header["ascending"],
        )
        for header in headers
        if header.get("sortable")
    ]


@register.filter
def export_fields(changes: Any) -> dict[str, str] | None:
    """The fields of the export page that say whom the list shows; None if it cannot say that."""
    chosen = {name: values[0] for name, values in changes.get_filters_params().items()}
    if chosen.keys() - {"role"}:
        return None
    return {"search": changes.query, **chosen}


@register.filter
def active_filters(changes: Any) -> Any:
    """See accounts.admin.lists.GatehouseList; none in the list of another class."""
    found = getattr(changes, "active_filters", None)
    return found() if found else []
