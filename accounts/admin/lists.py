"""What the lists of the admin share: sorting by an index, active filters, and saved views."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR, SEARCH_VAR, ChangeList
from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import F, Q, QuerySet, Value
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts.admin.navigation import help_url
from accounts.models import User
from accounts.services.saved_views import views_of

COUNT_CAP = 10_000


def capped_count(rows: "QuerySet[Any]") -> int:
    """The number of rows, at most COUNT_CAP + 1."""
    # count() would read the key of each row, which an index seldom contains.
    column = "pk" if rows.query.distinct else "one"
    found = rows.order_by().annotate(one=Value(1)).values_list(column)[: COUNT_CAP + 1]
    try:
        statement, values = found.query.get_compiler(rows.db).as_sql()
    except EmptyResultSet:
        return 0
    with connections[rows.db].cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM ({statement}) AS found", values)  # noqa: S608 - Django's
        return int(cursor.fetchone()[0])


class FoundKeys(NamedTuple):
    """What a list has read of its keys, so that its count and page need not search again.

    size: how many, at most COUNT_CAP + 1. in_order: the keys in the order of the list; None if it
    has another order.
    """

    size: int
    in_order: list[Any] | None


class ActiveFilter(NamedTuple):
    """A filter or search that is in force. url: the same list without it."""

    title: str
    value: str
    url: str


class GatehouseList(ChangeList):
    """A list that is sorted by one column of `sortable_by` at most.

    Django also sorts by columns that `sortable_by` does not name, and by several at once, if the
    URL says so. No index serves that.
    """

    def __init__(self, request: HttpRequest, *args: Any, **options: Any) -> None:
        super().__init__(request, *args, **options)
        # Where an empty list leads.
        table: Any = self.model_admin
        self.empty_link: tuple[str, Any] | None = table.empty_link(request)
        self.help_url = help_url(table.help_page)
        self.table_name = self.model._meta.label_lower
        user = request.user
        self.saved_views = views_of(user, self.table_name) if isinstance(user, User) else []

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> "QuerySet[Any]":
        """The rows of the list, whose keys are found first where no index has rows and order.

        The database would search in the order of the list, and read a million rows until it has
        found enough for a page, if few match. So a filter says in which order they are found. If
        they are more than COUNT_CAP, they are near each other in any order.
        """
        rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        for spec in self.filter_specs:
            branches: list[Q] = getattr(spec, "branches", list)()
            found_by: str = getattr(spec, "found_by", "")
            if branches:
                return _merged(rows, branches, self.list_per_page)
            if found_by:
                return _found_by(rows, found_by, self.list_per_page)
        return rows

    def get_ordering_field(self, field_name: Any) -> Any:
        """None, so that the list is not sorted by it, unless `sortable_by` names the column."""
        if field_name not in (self.sortable_by or ()):
            return None
        return super().get_ordering_field(field_name)

    def get_ordering(self, request: HttpRequest, queryset: "QuerySet[Any]") -> Any:
        """As the URL says if it names one column that can be sorted, or else as usual."""
        column = self.params.get(ORDER_VAR, "").partition(".")[0]
        self.params.pop(ORDER_VAR, None)
        if self._can_sort(column):
            self.params[ORDER_VAR] = column
        terms = super().get_ordering(request, queryset)
        return [_never_is_oldest(term, queryset) for term in terms]

    def _can_sort(self, column: str) -> bool:
        columns = dict(zip(map(str, range(len(self.list_display))), self.list_display, strict=True))
        name = columns.get(column.removeprefix("-"))
        return name is not None and self.get_ordering_field(name) is not None

    def active_filters(self) -> list[ActiveFilter]:
        """The search and the filters in force, each with the URL that removes it."""
        found = list(self._chosen_filters())
        if self.query:
            url = self._without(SEARCH_VAR)
            found.insert(0, ActiveFilter(_("Search"), str(self.query), url))
        return found

    def _chosen_filters(self) -> Iterator[ActiveFilter]:
        for spec in self.filter_specs:
            names = [name for name in spec.expected_parameters() if name is not None]
            if not any(name in self.filter_params for name in names):
                continue
            # The first choice is "All".
            for choice in list(spec.choices(self))[1:]:
                if choice["selected"]:
                    url = self._without(*names)
                    yield ActiveFilter(str(spec.title), str(choice["display"]), url)

    def view_query(self) -> str:
        """The query of this view: filters, search and order, without the page."""
        return self._without().removeprefix("?")

    def _without(self, *names: str) -> str:
        """The query of this list without these parameters, from its first page on.

        Django's `remove` would also drop parameters whose names only begin like these.
        """
        return self.get_query_string(dict.fromkeys([*names, PAGE_VAR]))


def _merged(rows: "QuerySet[Any]", branches: list[Q], per_page: int) -> "QuerySet[Any]":
    """The rows of any of the branches; an index sorts those of each by primary key."""
    order = _order_by_key(rows)
    keys = [
        key
        for branch in branches
        for key in rows.filter(branch)
        .order_by(order or "-pk")
        .values_list("pk", flat=True)[: COUNT_CAP + 1]
    ]
    keys.sort(reverse=order != "pk")
    return _with_keys(rows, keys[: COUNT_CAP + 1], order is not None, per_page)


def _found_by(rows: "QuerySet[Any]", order: str, per_page: int) -> "QuerySet[Any]":
    """The rows, searched in this order."""
    keys = list(rows.order_by(order).values_list("pk", flat=True)[: COUNT_CAP + 1])
    return _with_keys(rows, keys, order == "-pk" == _order_by_key(rows), per_page)


def _with_keys(
    rows: "QuerySet[Any]", keys: list[Any], is_in_order: bool, per_page: int
) -> "QuerySet[Any]":
    """`rows` with an attribute for CappedPaginator; narrowed to the keys if they are few enough.

    Keys of one page always are, because Django shows that page without the paginator.
    """
    if len(keys) <= (per_page if is_in_order else COUNT_CAP):
        rows = rows.filter(pk__in=keys)
    rows.found = FoundKeys(len(keys), keys if is_in_order else None)  # type: ignore[attr-defined]
    return rows


def _order_by_key(rows: "QuerySet[Any]") -> str | None:
    """pk or -pk if the rows are sorted by their primary key; None otherwise."""
    first = (rows.query.order_by or ("",))[0]
    if not isinstance(first, str):
        return None
    is_key = first.removeprefix("-") in ("pk", rows.model._meta.pk.name)
    return ("-pk" if first[0] == "-" else "pk") if is_key else None


def _never_is_oldest(term: Any, rows: "QuerySet[Any]") -> Any:
    """Sort empty times as the oldest, as SQLite does; PostgreSQL sorts them as the newest.

    Only in lists that are short enough to be sorted without an index.
    """
    if not isinstance(term, str) or connections[rows.db].vendor != "postgresql":
        return term
    name = term.removeprefix("-")
    fields = {field.name: field for field in rows.model._meta.fields}
    if name not in fields or not fields[name].null or capped_count(rows) > COUNT_CAP:
        return term
    return F(name).desc(nulls_last=True) if term[0] == "-" else F(name).asc(nulls_first=True)
