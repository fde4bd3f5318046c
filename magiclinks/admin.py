"""Sign-in links in the admin panel: the table of facts, and "Get email login URL" for people."""

from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.admin.actions import PANEL_MAXIMUM, render_with_panel, user_action
from accounts.admin.base import FactAdmin, panel_actor
from accounts.admin.cells import NOTHING
from accounts.admin.site import site
from accounts.admin.user_filters import SinceFilter
from accounts.errors import GatehouseError
from accounts.models import User
from magiclinks.models import LoginLink
from magiclinks.services import LONGEST, issue_link

STATES = {
    "live": gettext_lazy("live"),
    "used": gettext_lazy("used"),
    "replaced": gettext_lazy("replaced"),
    "expired": gettext_lazy("expired"),
}


@user_action(description=gettext_lazy("Get email login URL"))
def get_login_url(
    modeladmin: "admin.ModelAdmin[User]", request: HttpRequest, queryset: "QuerySet[User]"
) -> HttpResponse:
    """A fresh link for each chosen person of lower rank, shown once on top of the list."""
    links: list[dict[str, Any]] = []
    skipped: list[tuple[str, str]] = []
    people = list(queryset.order_by("-pk")[: PANEL_MAXIMUM + 1])
    for user in people[:PANEL_MAXIMUM]:
        try:
            issued = issue_link(
                user,
                actor=panel_actor(request),
                lifetime=_lifetime(request),
                source=LoginLink.Source.PANEL,
            )
        except GatehouseError as error:
            skipped.append((user.email, error.sentences))
        else:
            links.append(
                {
                    "email": user.email,
                    "user_id": user.pk,
                    "url": issued.url,
                    "expires_at": issued.expires_at,
                    "replaced": issued.replaced,
                }
            )
    if len(people) > PANEL_MAXIMUM:
        skipped.append((_("everybody else"), _too_many()))
    context = {"links": links, "skipped": skipped, "lifetimes": _lifetimes()}
    return render_with_panel(modeladmin, request, "magiclinks/panel.html", context)


class LinkCreatedFilter(SinceFilter):
    title = gettext_lazy("created")
    parameter_name = "created"
    field = "created_at"


@admin.register(LoginLink, site=site)
class LoginLinkAdmin(FactAdmin):
    """Which links exist or have been, for whom, and what became of them; never the link itself."""

    list_display = ("created_at", "email", "state", "expires_at", "used_at", "source", "issuer")
    list_filter = ("source", LinkCreatedFilter)
    search_fields = ("=email", "=ip")
    facts: ClassVar[tuple[str, ...]] = (
        "email",
        "state",
        "created_at",
        "expires_at",
        "used_at",
        "replaced_at",
        "source",
        "issuer",
        "ip",
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[LoginLink]":
        issuer = User.objects.filter(pk=OuterRef("issued_by")).values("email")[:1]
        found: QuerySet[LoginLink] = super().get_queryset(request)
        return found.annotate(issuer_email=Subquery(issuer))

    @admin.display(description=gettext_lazy("state"))
    def state(self, link: LoginLink) -> str:
        return str(STATES[link.state(timezone.now())])

    @admin.display(description=gettext_lazy("operator"))
    def issuer(self, link: LoginLink) -> str:
        return getattr(link, "issuer_email", None) or NOTHING


def _lifetime(request: HttpRequest) -> timedelta:
    """What the panel's form asks, in minutes; else MAGIC_LINK_OPERATOR_EXPIRY."""
    given = request.POST.get("lifetime", "")
    if given.isascii() and given.isdigit() and len(given) < 6:
        return timedelta(minutes=int(given))
    lifetime: timedelta = settings.MAGIC_LINK_OPERATOR_EXPIRY
    return lifetime


def _lifetimes() -> list[tuple[int, str]]:
    hours = (1, 4, 8, int(LONGEST.total_seconds() // 3600))
    return [
        (60 * number, ngettext("%(number)d hour", "%(number)d hours", number) % {"number": number})
        for number in hours
    ]


def _too_many() -> str:
    return _("At most %(number)d at a time; choose fewer.") % {"number": PANEL_MAXIMUM}
