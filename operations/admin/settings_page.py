"""The page "Settings": what is in effect, and where it comes from. It only reads.

The rows are those of `manage.py doctor --all`: config.environment masks secrets, not this page.
"""

from typing import Any, NamedTuple
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from accounts.admin.navigation import help_url
from accounts.admin.site import site
from accounts.admin.site_pages import SitePage, add_page
from config.environment.variables import SECTIONS

MAX_SEARCH_LENGTH = 100
DEFAULT = "default"
FILTERS: dict[str, Any] = {
    "set": gettext_lazy("Set by you"),
    "all": gettext_lazy("All"),
    "default": gettext_lazy("Default"),
    "noted": gettext_lazy("With a note"),
}


class SettingRow(NamedTuple):
    """One setting. value: as in .env, "(set)" for a secret. source: where it comes from."""

    name: str
    value: str
    source: str
    note: str
    help: str

    @property
    def is_default(self) -> bool:
        return self.source == DEFAULT


@require_safe
def settings_page(request: HttpRequest) -> HttpResponse:
    """The settings by section, searched and filtered."""
    text = request.GET.get("q", "")[:MAX_SEARCH_LENGTH].strip()
    # A search looks at all of them; without one, the few that differ from the default say most.
    chosen = request.GET.get("show", "all" if text else "set")
    sections = _sections(text, chosen)
    context = {
        "title": _("Settings"),
        "sections": sections,
        "count": sum(len(rows) for _title, rows in sections),
        "total": sum(len(rows) for _title, rows in _sections("", "all")),
        "query": text,
        "choices": [
            (label, f"?show={key}&q={quote(text)}", key == chosen) for key, label in FILTERS.items()
        ],
        "chosen": chosen,
        "reference": help_url("reference/settings"),
    }
    return render(request, "admin/operations/settings.html", site.each_context(request) | context)


def _sections(text: str, chosen: str) -> list[tuple[str, list[SettingRow]]]:
    """(title, rows) of the sections that have rows; last those of further providers."""
    described = {row.name: row for row in settings.ENV.describe()}
    found = []
    for section in SECTIONS:
        rows = [
            SettingRow(*_fields(described.pop(variable.name)), variable.help)
            for variable in section.variables
        ]
        found.append((section.title, rows))
    further = [SettingRow(*_fields(row), "") for row in described.values()]
    found.append((_("Further providers"), further))
    kept = [(title, [row for row in rows if _is_shown(row, text, chosen)]) for title, rows in found]
    return [(title, rows) for title, rows in kept if rows]


def _fields(row: Any) -> tuple[str, str, str, str]:
    return row.name, row.value, row.source, row.note


def _is_shown(row: SettingRow, text: str, chosen: str) -> bool:
    wanted = text.casefold()
    is_found = any(
        wanted in part.casefold() for part in (row.name, row.value, row.source, row.help)
    )
    match chosen:
        case "set":
            return is_found and not row.is_default
        case "default":
            return is_found and row.is_default
        case "noted":
            return is_found and bool(row.note)
    return is_found


add_page(
    SitePage(
        "settings",
        "settings/",
        settings_page,
        gettext_lazy("Settings"),
        position=20,
        help_page="configuration",
        for_owners=True,
    )
)
