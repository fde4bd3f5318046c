"""Pages of the admin panel that belong to no table, such as Health; other apps add them here.

They get what the pages of tables get: the access policy with the role admin, a form that is
processed once, recent authentication for each POST that is not exempt, and a link in the menu. See
docs/decisions/0032-pages-without-a-table.md.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _

from accounts.admin.navigation import MenuGroup, MenuLink, PageLink
from accounts.models import User
from accounts.roles import Role
from core.errors import Forbidden


class SitePage(NamedTuple):
    """One page. `admin:<name>` is its URL name, /admin/<route> its path.

    label: of the link in the menu; "" if the menu does not list it. group: None lists it beside the
    overview. help_page: a page of docs/ without `.md`. for_owners: other administrators get 403.
    is_exempt: a POST to it needs no recent authentication; see sensitive_actions. act: what a POST
    to it does, for the page that asks for recent authentication.
    """

    name: str
    route: str
    view: Callable[..., HttpResponse]
    label: Any = ""
    group: MenuGroup | None = None
    position: int = 100
    help_page: str = "admin-panel"
    for_owners: bool = False
    is_exempt: bool = False
    act: Any = ""


_pages: dict[str, SitePage] = {}


def add_page(page: SitePage) -> None:
    """Show `page` in the admin panel; a second page of the same name replaces it."""
    _pages[page.name] = page


def exempt_pages() -> frozenset[str]:
    """Names of the pages that need no recent authentication."""
    return frozenset(page.name for page in _pages.values() if page.is_exempt)


def act_of(name: str) -> Any:
    """What a POST to the page does, in words; "" if it has not said."""
    return _pages[name].act if name in _pages else ""


def urls(site: AdminSite) -> list[URLPattern]:
    """The pages, with the checks of the admin site."""
    return [
        path(page.route, site.admin_view(_guarded(page)), name=page.name)
        for page in _pages.values()
    ]


def links(request: HttpRequest) -> list[PageLink]:
    """The links of the menu to pages that this administrator may open, in order."""
    return [
        PageLink(
            MenuLink(reverse(f"admin:{page.name}"), page.label, page.help_page),
            page.group,
            page.position,
        )
        for page in sorted(_pages.values(), key=lambda page: page.position)
        if page.label and (not page.for_owners or is_owner(request))
    ]


def is_owner(request: HttpRequest) -> bool:
    """Whether an owner makes the request."""
    return isinstance(request.user, User) and request.user.role == Role.OWNER


def _guarded(page: SitePage) -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, **arguments: Any) -> HttpResponse:
        if page.for_owners and not is_owner(request):
            raise Forbidden(_("Only owners may see and change the settings."))
        return page.view(request, **arguments)

    return view
