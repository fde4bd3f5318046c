"""Sign-in links in the admin: a read-only list, and the action "Get email login URL"."""

from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy

from accounts.admin.actions import MAX_SECRETS, PageAction, render_with_secrets, user_action
from accounts.admin.base import acting_admin
from accounts.admin.bulk_actions import RowActionsAdmin, run_on_rows
from accounts.admin.columns import NOTHING, badge, moment, moment_column, with_detail
from accounts.admin.errors import tell_held
from accounts.admin.navigation import MenuGroup
from accounts.admin.site import site
from accounts.admin.users.filters import SinceFilter
from accounts.admin.users.sections import Button, Content, Row, add_section, found_in, newest
from accounts.models import User
from accounts.services.approvals.rule import TwoPersonRequired
from core.errors import GatehouseError
from magiclinks.models import LoginLink
from magiclinks.services import MAX_LIFETIME, issue_link, withdraw_link

STATES = {
    "live": gettext_lazy("live"),
    "used": gettext_lazy("used"),
    "replaced": gettext_lazy("replaced"),
    "expired": gettext_lazy("expired"),
}


@user_action(
    description=gettext_lazy("Get email login URL"),
    on_page=PageAction(
        "sign-in",
        gettext_lazy("Get sign-in link"),
        gettext_lazy(
            "Make a link that signs %(name)s in once, for you to hand over? Their older link stops "
            "working."
        ),
    ),
)
def get_login_url(
    modeladmin: "admin.ModelAdmin[User]", request: HttpRequest, queryset: "QuerySet[User]"
) -> HttpResponse | None:
    """Issue a new link for each selected user of lower rank, shown once above the list."""
    links: list[dict[str, Any]] = []
    skipped: list[tuple[str, str]] = []
    held: list[TwoPersonRequired] = []
    users = list(queryset.order_by("-pk")[: MAX_SECRETS + 1])
    for user in users[:MAX_SECRETS]:
        try:
            issued = issue_link(
                user,
                actor=acting_admin(request),
                lifetime=_lifetime(request),
                source=LoginLink.Source.PANEL,
            )
        except TwoPersonRequired as error:
            held.append(error)
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
    tell_held(request, held)
    if held and not links and not skipped:
        return None
    if len(users) > MAX_SECRETS:
        skipped.append((_("all others"), _limit_text()))
    context = {"links": links, "skipped": skipped, "lifetimes": _lifetimes()}
    return render_with_secrets(modeladmin, request, "magiclinks/panel.html", context)


class LinkCreatedFilter(SinceFilter):
    title = gettext_lazy("created")
    parameter_name = "created"
    field = "created_at"


@admin.register(LoginLink, site=site)
class LoginLinkAdmin(RowActionsAdmin):
    """Links, their users and their states; never the secret itself."""

    title = gettext_lazy("Sign-in links")
    menu_group = MenuGroup.USERS
    menu_position = 40
    help_page = "magic-links"

    list_display = ("made", "email", "state", "ends", "used", "way")
    list_filter = ("source", LinkCreatedFilter)
    sortable_by = ("made", "ends")
    empty_text = gettext_lazy(
        "Each sign-in link is listed here. To make one for a person, tick them in the list of "
        "people and choose “Get email login URL”."
    )
    empty_page = ("admin:accounts_user_changelist", gettext_lazy("People"))
    list_display_links = ("email",)
    search_fields = ("=email", "=ip")
    actions = ("withdraw_links",)
    exempt_actions = frozenset({"withdraw_links"})
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
        return found.annotate(issuer_email=Subquery(issuer)).select_related("user")

    made = moment_column("created_at", gettext_lazy("created"), ordering="pk")
    ends = moment_column("expires_at", gettext_lazy("expires"))
    used = moment_column("used_at", gettext_lazy("used"))

    @admin.display(description=gettext_lazy("state"))
    def state(self, link: LoginLink) -> str:
        return str(STATES[link.state(timezone.now())])

    @admin.display(description=gettext_lazy("issued by"))
    def way(self, link: LoginLink) -> str:
        """How it was issued; by an administrator also by whom."""
        issuer = getattr(link, "issuer_email", None)
        if not issuer:
            return str(link.get_source_display())
        return with_detail(link.get_source_display(), issuer)

    @admin.display(description=gettext_lazy("administrator"))
    def issuer(self, link: LoginLink) -> str:
        return getattr(link, "issuer_email", None) or NOTHING

    @admin.action(description=gettext_lazy("Withdraw"), permissions=["action"])
    def withdraw_links(self, request: HttpRequest, queryset: "QuerySet[LoginLink]") -> None:
        """Withdraw the chosen links; the service refuses ended ones and users of higher roles."""
        actor = acting_admin(request)
        run_on_rows(
            request,
            queryset,
            lambda link: withdraw_link(actor=actor, link=link),
            ngettext_lazy(
                "%(count)d link is withdrawn.", "%(count)d links are withdrawn.", "count"
            ),
        )


def links(_request: HttpRequest, user: User) -> Content:
    """The section of the user page: the newest links, the live one first."""
    rows = newest(user.login_links.defer("digest").order_by("-created_at"))
    return Content(
        (_("Created"), _("State"), _("Expires"), _("Used"), _("Issued by")),
        [_link_row(row, user) for row in rows],
        more=found_in("magiclinks_loginlink", user.email),
        empty=_("None."),
    )


def _link_row(row: LoginLink, user: User) -> Row:
    state = row.state(timezone.now())
    times = moment(row.expires_at), moment(row.used_at)
    tone = "good" if state == "live" else "plain"
    cells = moment(row.created_at), badge(tone, STATES[state]), *times, row.get_source_display()
    if state != "live":
        return Row(cells)
    question = _("Withdraw this sign-in link of %(name)s? It stops working at once.")
    button = Button(
        reverse("admin:magiclinks_loginlink_changelist"),
        "withdraw_links",
        str(row.pk),
        _("Withdraw"),
        question % {"name": user.name or user.email},
    )
    return Row(cells, button)


add_section("links", gettext_lazy("Sign-in links"), links)


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
