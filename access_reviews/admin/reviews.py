"""The table of access reviews, and the addresses of their pages."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access_reviews.admin import pages
from access_reviews.admin.labels import review_badge, scope_text
from access_reviews.models import UNDECIDED, AccessReview, ReviewItem
from accounts.admin.base import SEARCH_MAX_LENGTH, ReadOnlyAdmin
from accounts.admin.columns import moment_column
from accounts.admin.navigation import MenuGroup
from accounts.admin.site import site
from accounts.admin.users.filters import ChoiceFilter, Option
from accounts.models import User

DUE_SOON = timedelta(days=7)
PEOPLE_SEARCHED = 50


class ReviewStateFilter(ChoiceFilter):
    """`due` shows what the dashboard counts."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        now = timezone.now()
        yield "open", gettext_lazy("Open"), Q(closed_at=None)
        yield "due", gettext_lazy("Due within 7 days"), due_condition()
        yield "overdue", gettext_lazy("Overdue"), Q(closed_at=None, due_at__lte=now)
        yield "closed", gettext_lazy("Closed"), Q(closed_at__isnull=False)


def due_condition() -> Q:
    """Open reviews that are due within DUE_SOON, or overdue."""
    return Q(closed_at=None, due_at__lt=timezone.now() + DUE_SOON)


@admin.register(AccessReview, site=site)
class AccessReviewAdmin(ReadOnlyAdmin):
    """All reviews; the page of one lists its accounts."""

    title = gettext_lazy("Access reviews")
    menu_group = MenuGroup.USERS
    menu_position = 50
    help_page = "access-reviews"
    list_display = ("label", "state", "who", "progress", "due", "started")
    list_filter = (ReviewStateFilter,)
    search_fields = ("name",)
    search_help_text = gettext_lazy("Part of the name, or of the address of a person in it")
    empty_text = gettext_lazy(
        "A review lists who has access. Reviewers confirm it, or take it away, until a date."
    )
    empty_page = ("admin:access_reviews_accessreview_add", gettext_lazy("Start a review"))
    # Shows what would be confirmed.
    exempt_pages: ClassVar[frozenset[str]] = frozenset({"access_reviews_accessreview_preview"})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_view_permission(request))

    def get_queryset(self, request: HttpRequest) -> "QuerySet[AccessReview]":
        items = ReviewItem.objects.filter(review=OuterRef("pk")).order_by().values("review")
        found: QuerySet[AccessReview] = super().get_queryset(request)
        return found.annotate(
            items_count=_counted(items), open_count=_counted(items.filter(decision__in=UNDECIDED))
        )

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[AccessReview]", search_term: str
    ) -> "tuple[QuerySet[AccessReview], bool]":
        """Search by name, and by at most PEOPLE_SEARCHED accounts that a review lists."""
        text = search_term.strip()[:SEARCH_MAX_LENGTH]
        if not text:
            return queryset, False
        people = User.objects.found_ids(text, PEOPLE_SEARCHED)
        found = ReviewItem.objects.filter(user_id__in=people).values("review")
        return queryset.filter(Q(name__icontains=text) | Q(pk__in=found)), False

    def get_urls(self) -> list[URLPattern]:
        wrap, name = self.admin_site.admin_view, "access_reviews_accessreview"
        return [
            path("add/", wrap(pages.start_page(self)), name=f"{name}_add"),
            path("<uuid:key>/change/", wrap(pages.review_page(self)), name=f"{name}_change"),
            path("<uuid:key>/preview/", wrap(pages.preview_page(self)), name=f"{name}_preview"),
            path("<uuid:key>/confirm/", wrap(pages.confirm_page(self)), name=f"{name}_confirm"),
            path("<uuid:key>/close/", wrap(pages.close_page(self)), name=f"{name}_close"),
            path("<uuid:key>/export/", wrap(pages.export(self)), name=f"{name}_export"),
            path(
                "<uuid:key>/accounts/<uuid:item_key>/",
                wrap(pages.item_page(self)),
                name=f"{name}_item",
            ),
            *super().get_urls(),
        ]

    @admin.display(description=gettext_lazy("name"))
    def label(self, review: AccessReview) -> str:
        return review.name

    @admin.display(description=gettext_lazy("state"))
    def state(self, review: AccessReview) -> SafeString:
        return review_badge(review, timezone.now())

    @admin.display(description=gettext_lazy("who is reviewed"))
    def who(self, review: AccessReview) -> str:
        return scope_text(review)

    @admin.display(description=gettext_lazy("decided"))
    def progress(self, review: Any) -> str:
        total = review.items_count
        return _("%(done)d of %(total)d") % {"done": total - review.open_count, "total": total}

    due = moment_column("due_at", gettext_lazy("due"))
    started = moment_column("created_at", gettext_lazy("started"))


def _counted(items: "QuerySet[Any, Any]") -> Coalesce:
    numbers = items.annotate(number=Count("*")).values("number")
    return Coalesce(Subquery(numbers, output_field=IntegerField()), 0)
