"""Programs that are signed in with refresh tokens; never a token itself."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy, ngettext_lazy

from accounts.admin.base import SEARCH_MAX_LENGTH, acting_admin
from accounts.admin.bulk_actions import RowActionsAdmin, run_on_rows
from accounts.admin.columns import moment_column, network_column, user_column
from accounts.admin.navigation import MenuGroup
from accounts.admin.site import site
from accounts.models import User
from accounts.sessions.link_binding import device_name
from api.models import TokenFamily
from api.tokens.refresh_tokens import end_family

OWNERS_SEARCHED = 50


@admin.register(TokenFamily, site=site)
class TokenFamilyAdmin(RowActionsAdmin):
    """Who is signed in with which program. Ended sign-ins are not shown."""

    title = gettext_lazy("Programs")
    menu_group = MenuGroup.ACCESS
    menu_position = 50
    help_page = "tokens"
    list_display = ("program", "person", "network", "begun", "refreshed", "end")
    empty_text = gettext_lazy(
        "Programs that sign in with a password, and get tokens for it, are listed here."
    )
    search_fields = ("ip",)
    search_help_text = gettext_lazy("Part of a person's address or name")
    actions = ("end_programs",)
    exempt_actions = frozenset({"end_programs"})
    detail_fields: ClassVar[tuple[str, ...]] = (
        "person",
        "program",
        "user_agent",
        "network",
        "begun",
        "refreshed",
        "end",
        "id",
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[TokenFamily]":
        found: QuerySet[TokenFamily] = super().get_queryset(request)
        live = Q(ended_at=None, expires_at__gt=timezone.now())
        valid = Q(created_at__gte=F("user__credentials_valid_from"))
        return found.filter(live & valid).defer("seed").select_related("user")

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[TokenFamily]", search_term: str
    ) -> "tuple[QuerySet[TokenFamily], bool]":
        """Search by at most OWNERS_SEARCHED users."""
        text = search_term.strip()[:SEARCH_MAX_LENGTH]
        if not text:
            return queryset, False
        owner_ids = User.objects.found_ids(text, OWNERS_SEARCHED)
        return queryset.filter(user_id__in=owner_ids), False

    @admin.display(description=gettext_lazy("program"))
    def program(self, family: TokenFamily) -> str:
        return device_name(family.user_agent)

    person = user_column("user", gettext_lazy("person"))
    network = network_column("ip", gettext_lazy("network address"))
    begun = moment_column("created_at", gettext_lazy("signed in"))
    refreshed = moment_column("rotated_at", gettext_lazy("last refreshed"))
    end = moment_column("expires_at", gettext_lazy("ends"))

    @admin.action(description=gettext_lazy("Sign out"), permissions=["action"])
    def end_programs(self, request: HttpRequest, queryset: "QuerySet[TokenFamily]") -> None:
        """Sign the chosen programs out, except those of users whose role is not below yours."""
        actor = acting_admin(request)

        def end(family: TokenFamily) -> Any:
            return end_family(actor=actor, user=family.user, family_id=family.pk)

        run_on_rows(
            request,
            queryset,
            end,
            ngettext_lazy(
                "%(count)d program is signed out.", "%(count)d programs are signed out.", "count"
            ),
        )
