"""Sign-in links in the admin: a read-only list, and the action "Get email login URL"."""

from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.admin.actions import MAX_SECRETS, render_with_secrets, user_action
from accounts.admin.base import ReadOnlyAdmin, acting_admin
from accounts.admin.columns import NOTHING, moment_column
from accounts.admin.navigation import MenuGroup
from accounts.admin.site import site
from accounts.admin.users.filters import SinceFilter
from accounts.models import User
from core.errors import GatehouseError
from magiclinks.models import LoginLink
from magiclinks.services import MAX_LIFETIME, issue_link

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
    """Issue a new link for each selected user of lower rank, shown once above the list."""
    links: list[dict[str, Any]] = []
    skipped: list[tuple[str, str]] = []
    users = list(queryset.order_by("-pk")[: MAX_SECRETS + 1])
    for user in users[:MAX_SECRETS]:
        try:
            issued = issue_link(
                user,
                actor=acting_admin(request),
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
    if len(users) > MAX_SECRETS:
        skipped.append((_("all others"), _limit_text()))
    context = {"links": links, "skipped": skipped, "lifetimes": _lifetimes()}
    return render_with_secrets(modeladmin, request, "magiclinks/panel.html", context)


class LinkCreatedFilter(SinceFilter):
    title = gettext_lazy("created")
    parameter_name = "created"
    field = "created_at"


@admin.register(LoginLink, site=site)
class LoginLinkAdmin(ReadOnlyAdmin):
    """Links, their users and their states; never the secret itself."""

    title = gettext_lazy("Sign-in links")
    menu_group = MenuGroup.USERS
    menu_position = 40
    help_page = "magic-links"

    list_display = ("made", "email", "state", "ends", "used", "source", "issuer")
    list_filter = ("source", LinkCreatedFilter)
    sortable_by = ("made", "ends")
    empty_text = gettext_lazy(
        "Each sign-in link is listed here. To make one for a person, tick them in the list of "
        "people and choose “Get email login URL”."
    )
    empty_page = ("admin:accounts_user_changelist", gettext_lazy("People"))
    search_fields = ("=email", "=ip")
    detail_fields: ClassVar[tuple[str, ...]] = (
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

    made = moment_column("created_at", gettext_lazy("created"), ordering="pk")
    ends = moment_column("expires_at", gettext_lazy("expires"))
    used = moment_column("used_at", gettext_lazy("used"))

    @admin.display(description=gettext_lazy("state"))
    def state(self, link: LoginLink) -> str:
        return str(STATES[link.state(timezone.now())])

    @admin.display(description=gettext_lazy("administrator"))
    def issuer(self, link: LoginLink) -> str:
        return getattr(link, "issuer_email", None) or NOTHING


def _lifetime(request: HttpRequest) -> timedelta:
    """The lifetime that the form asks for, in minutes; MAGIC_LINK_OPERATOR_EXPIRY by default."""
    given = request.POST.get("lifetime", "")
    if given.isascii() and given.isdigit() and len(given) < 6:
        return timedelta(minutes=int(given))
    lifetime: timedelta = settings.MAGIC_LINK_OPERATOR_EXPIRY
    return lifetime


def _lifetimes() -> list[tuple[int, str]]:
    hours = (1, 4, 8, int(MAX_LIFETIME.total_seconds() // 3600))
    return [
        (60 * number, ngettext("%(number)d hour", "%(number)d hours", number) % {"number": number})
        for number in hours
    ]


def _limit_text() -> str:
    return _("At most %(number)d at a time; choose fewer.") % {"number": MAX_SECRETS}
