"""What every table of the panel shares: capped counts, no log of Django's own, read-only facts."""

from functools import cached_property
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from accounts.addresses import search_forms
from accounts.models import User

COUNT_CAP = 10_000
SEARCH_MAX_LENGTH = 254


def capped_count(rows: "QuerySet[Any]") -> int:
    """How many rows, at most one more than COUNT_CAP."""
    return rows.order_by().values("pk")[: COUNT_CAP + 1].count()


def as_uuid(text: str) -> UUID | None:
    """The id that `text` spells, or None."""
    try:
        return UUID(text)
    except ValueError:
        return None


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """Counts at most COUNT_CAP rows, so that a list of 100 million opens as fast as a short one."""

    @cached_property
    def count(self) -> int:
        """Rows found, at most COUNT_CAP; is_capped says that there are more."""
        found = self._counted
        return min(found, COUNT_CAP)

    @property
    def is_capped(self) -> bool:
        return self._counted > COUNT_CAP

    @cached_property
    def _counted(self) -> int:
        rows: QuerySet[Model] = self.object_list  # type: ignore[assignment]
        return capped_count(rows)


class PanelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Base of all our tables. The audit log tells who did what; Django's own log stays empty."""

    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 0
    show_facets = admin.ShowFacets.NEVER
    view_on_site = False
    # See accounts.admin.dangers; names of addresses, and of actions of the list.
    exempt_pages: ClassVar[frozenset[str]] = frozenset()
    exempt_actions: Any = frozenset()
    # Fields of the form that have several values; see accounts.single_values.
    repeatable: ClassVar[frozenset[str]] = frozenset()
    change_list_template = "admin/change_list.html"
    title: Any = ""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        title = self.title or str(self.opts.verbose_name_plural).capitalize()
        return super().changelist_view(request, {"title": title} | (extra_context or {}))

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        """What the text finds in either form of a domain; see addresses.search_forms()."""
        forms = search_forms(search_term[:SEARCH_MAX_LENGTH])
        found, may_repeat = super().get_search_results(request, queryset, forms[0])
        for form in forms[1:]:
            more, may_repeat_too = super().get_search_results(request, queryset, form)
            found, may_repeat = found | more, may_repeat or may_repeat_too
        return found, may_repeat

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """History is the audit log."""
        url = reverse("admin:accounts_auditevent_changelist")
        return redirect(f"{url}?{urlencode({'q': object_id})}")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only what a filter of the page asks: `?password__startswith=` would spell out a hash,
        and not every database takes every year or expression."""
        if request is None:
            return False
        filters: Any = self.get_list_filter(request)
        for entry in filters:
            if isinstance(entry, type) and issubclass(entry, admin.SimpleListFilter):
                if lookup == entry.parameter_name:
                    return True
                continue
            field = entry if isinstance(entry, str) else entry[0]
            if lookup in (field, f"{field}__exact", f"{field}__isnull"):
                return super().lookup_allowed(lookup, value, request)
        return False

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """No id holds a NUL, and PostgreSQL takes none."""
        return None if "\0" in object_id else super().get_object(request, object_id, from_field)

    def log_addition(self, *_args: Any) -> None: ...  # type: ignore[override]  # no entry

    def log_change(self, *_args: Any) -> None: ...  # type: ignore[override]

    def log_deletions(self, *_args: Any) -> None: ...  # type: ignore[override]


class FactAdmin(PanelAdmin):
    """A table of facts: to read, filter and search; nothing is added, edited or deleted.

    Children set list_display, list_filter, and `facts` (fields of the detail page). Sorting is by
    primary key, newest first, because only that stays fast when the table grows.
    """

    ordering: ClassVar[tuple[str, ...]] = ("-pk",)
    sortable_by: ClassVar[tuple[str, ...]] = ()
    facts: ClassVar[tuple[str, ...]] = ()
    actions: Any = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_act_permission(self, request: HttpRequest) -> bool:
        """For actions: allowed_permissions=["act"]; each row is checked again by its service."""
        return bool(self.has_view_permission(request))

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.facts or super().get_fields(request, obj)


def panel_actor(request: HttpRequest) -> User:
    """The operator of a page of the panel."""
    if not isinstance(request.user, User):
        raise TypeError("the panel's pages stand behind GatehouseAdminSite.admin_view")
    return request.user


def lead_back(request: HttpRequest, url: str) -> HttpResponse:
    """Where a form leads that was sent a second time."""
    text = _("This form was sent twice. It was done once; look here before you do it again.")
    messages.warning(request, text)
    return redirect(url or "admin:index")
