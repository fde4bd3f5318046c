"""The menu of the admin: five groups, in which each table says where its pages belong.

A table declares `menu_group` or `menu_parent`, `menu_position`, `menu_pages`, `menu_alarm` and
`help_page`; see accounts.admin.base.GatehouseModelAdmin. Tables that declare no group, such as
those of an app that you add, are listed last. Pages of no table come from
accounts.admin.site_pages. The order is the same in every language. The further pages of a table are
listed below it while it is current, so that the menu fits into a window.
"""

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _


class MenuGroup(StrEnum):
    """The groups, in the order of the menu."""

    USERS = "users"
    ACCESS = "access"
    MODERATION = "moderation"
    MESSAGES = "messages"
    AUDIT = "audit"
    OTHER = "other"


LABELS: dict[MenuGroup, Any] = {
    MenuGroup.USERS: _("Users"),
    MenuGroup.ACCESS: _("Access"),
    MenuGroup.MODERATION: _("Moderation"),
    MenuGroup.MESSAGES: _("Messages"),
    MenuGroup.AUDIT: _("Audit"),
    MenuGroup.OTHER: _("More"),
}


class MenuLink(NamedTuple):
    """One page of the menu. help_page: a page of docs/ without `.md`, or "".

    alarm: what is wrong there, in a word or two; "" if nothing is. pages: the further pages of a
    table, which the menu lists while one of them, or the table, is current.
    """

    url: str
    label: Any
    help_page: str
    alarm: str = ""
    pages: tuple["MenuLink", ...] = ()


class PageLink(NamedTuple):
    """A page of no table. group: None lists it beside the overview, above the groups."""

    link: MenuLink
    group: MenuGroup | None
    position: int


def menu(
    tables: Iterable["ModelAdmin[Any]"], request: HttpRequest, pages: Collection[PageLink] = ()
) -> dict[str, Any]:
    """Template context: the groups with their links, the current link, and the help for it.

    menu_top: the links beside the overview.
    """
    placed: dict[MenuGroup | None, list[tuple[int, MenuLink]]]
    placed = {None: []} | {group: [] for group in MenuGroup}
    below: dict[str, list[MenuLink]] = {}
    seen = [table for table in tables if table.has_view_or_change_permission(request)]
    for table in sorted(seen, key=lambda table: not getattr(table, "menu_parent", "")):
        link = _link_of(table, request, below.get(table.opts.label, ()))
        if parent := getattr(table, "menu_parent", ""):
            below.setdefault(parent, []).append(link)
        else:
            group = getattr(table, "menu_group", MenuGroup.OTHER)
            placed[group].append((getattr(table, "menu_position", 100), link))
    for page in pages:
        placed[page.group].append((page.position, page.link))
    links = {
        group: [link for _position, link in sorted(found, key=lambda pair: pair[0])]
        for group, found in placed.items()
    }
    top = links.pop(None)
    all_links = [*top, *(link for found in links.values() for link in found)]
    current = _current([*all_links, *(page for link in all_links for page in link.pages)], request)
    return {
        "menu_top": top,
        "menu": [(LABELS[group], links[group]) for group in MenuGroup if links[group]],
        "menu_current": current.url if current else "",
        "menu_open": next((each.url for each in all_links if _is_open(each, current)), ""),
        "menu_label": current.label if current else "",
        "help_url": help_url(current.help_page if current else "admin-panel"),
    }


def below_user(key: UUID, label: str) -> dict[str, Any]:
    """Template context of a page below that of one user, whom its breadcrumb names."""
    url = reverse("admin:accounts_user_change", args=[key])
    return {"row_url": url, "row_label": label}


def help_url(page: str) -> str:
    """The address of a page of the documentation; "" if DOCS_URL is not set."""
    return str(settings.DOCS_URL).replace("{page}", page) if page and settings.DOCS_URL else ""


def _link_of(
    table: "ModelAdmin[Any]", request: HttpRequest, below: Iterable[MenuLink] = ()
) -> MenuLink:
    """below: the links of tables whose `menu_parent` is this one."""
    help_page = getattr(table, "help_page", "")
    label = getattr(table, "title", "") or str(table.opts.verbose_name_plural).capitalize()
    names = f"admin:{table.opts.app_label}_{table.opts.model_name}_changelist"
    alarm = table.menu_alarm(request) if hasattr(table, "menu_alarm") else ""
    pages = getattr(table, "menu_pages", ())
    further = tuple(MenuLink(reverse(name), text, help_page) for name, text in pages)
    return MenuLink(reverse(names), label, help_page, alarm, (*further, *below))


def _current(links: Iterable[MenuLink], request: HttpRequest) -> MenuLink | None:
    """The link of the page itself, or of the list to which it belongs: the longest that fits."""
    fitting = [link for link in links if request.path.startswith(link.url)]
    return max(fitting, key=lambda link: len(link.url), default=None)


def _is_open(link: MenuLink, current: MenuLink | None) -> bool:
    return current is not None and current in (link, *link.pages)
