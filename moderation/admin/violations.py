"""The table of violations: which limit was exceeded, or what was reported, and its score."""

from collections.abc import Iterable
from typing import ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from accounts.admin.columns import NOTHING, exact_moment, moment, user_link, with_detail
from accounts.admin.navigation import MenuGroup
from accounts.admin.site import site
from accounts.admin.users.filters import ChoiceFilter, Option, SinceFilter
from moderation.admin.labels import ban_link, points, type_label
from moderation.admin.tables import SubjectAdmin, stored_types
from moderation.models import Violation


class TypeFilter(ChoiceFilter):
    title = gettext_lazy("type")
    parameter_name = "type"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        return [(name, type_label(name), Q(type=name)) for name in stored_types()]


class CausedBanFilter(ChoiceFilter):
    title = gettext_lazy("caused a ban")
    parameter_name = "ban"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        has_ban = Q(ban__isnull=False)
        return [("yes", gettext_lazy("Yes"), has_ban), ("no", gettext_lazy("No"), Q(ban=None))]


class ViolatedFilter(SinceFilter):
    title = gettext_lazy("when")
    parameter_name = "at"
    field = "at"


@admin.register(Violation, site=site)
class ViolationAdmin(SubjectAdmin):
    """Newest first. The total is that of the user, or else of the network."""

    title = gettext_lazy("Violations")
    menu_group = MenuGroup.MODERATION
    menu_position = 20
    help_page = "moderation"
    list_display = ("when", "kind", "who", "worth", "total", "ban_cell")
    list_filter = (TypeFilter, CausedBanFilter, ViolatedFilter)
    sortable_by = ("when",)
    empty_text = gettext_lazy("Each exceeded limit and each report of an app is listed here.")
    detail_fields: ClassVar[tuple[str, ...]] = (
        "exactly",
        "kind",
        "person",
        "place",
        "worth",
        "before",
        "total",
        "limit_text",
        "ban_cell",
        "reporter",
        "details",
        "request_id",
        "id",
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Violation]":
        found: QuerySet[Violation] = super().get_queryset(request)
        return found.select_related("user", "ban")

    @admin.display(description=gettext_lazy("when"), ordering="at")
    def when(self, violation: Violation) -> str:
        return moment(violation.at)

    @admin.display(description=gettext_lazy("when"))
    def exactly(self, violation: Violation) -> str:
        return exact_moment(violation.at)

    @admin.display(description=gettext_lazy("type"))
    def kind(self, violation: Violation) -> SafeString:
        return with_detail(type_label(violation.type), violation.limit)

    @admin.display(description=gettext_lazy("score"))
    def worth(self, violation: Violation) -> str:
        return points(violation.score)

    @admin.display(description=gettext_lazy("total before"))
    def before(self, violation: Violation) -> str:
        return points(violation.total_before)

    @admin.display(description=gettext_lazy("total after"))
    def total(self, violation: Violation) -> str:
        return points(violation.total_after)

    @admin.display(description=gettext_lazy("limit"))
    def limit_text(self, violation: Violation) -> str:
        return violation.limit or NOTHING

    @admin.display(description=gettext_lazy("ban"))
    def ban_cell(self, violation: Violation) -> str:
        return ban_link(violation.ban)

    @admin.display(description=gettext_lazy("reported by"))
    def reporter(self, violation: Violation) -> str:
        return user_link(violation.reported_by, None)

    @admin.display(description=gettext_lazy("detail"))
    def details(self, violation: Violation) -> str:
        pairs = [(name, str(value)) for name, value in sorted(violation.detail.items())]
        if not pairs:
            return NOTHING
        return format_html_join("", '<span class="pair">{}: {}</span> ', pairs)
