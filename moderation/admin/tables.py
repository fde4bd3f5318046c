"""What both tables share: who a row is about, a search for it, and the stored types."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from accounts.admin.base import SEARCH_MAX_LENGTH, ReadOnlyAdmin, as_uuid
from accounts.admin.columns import NOTHING, network_cell, user_link
from accounts.models import User
from moderation.admin.labels import target_cell
from moderation.models import Ban, Violation
from moderation.networks import network_name

MAX_USERS_FOUND = 50
MAX_TYPES = 30
Row = Ban | Violation


class SubjectAdmin(ReadOnlyAdmin):
    """For admin pages of rows with a user and a network: columns and the search."""

    # Only makes Django show the search box: get_search_results() does the search.
    search_fields = ("network",)
    search_help_text = gettext_lazy(
        "A network address, part of a person's address or name, or the id of a person or a row"
    )

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        return queryset.filter(_search_condition(search_term)), False

    @admin.display(description=gettext_lazy("who"))
    def who(self, row: Row) -> str:
        return target_cell(row.user, row.network)

    @admin.display(description=gettext_lazy("person"))
    def person(self, row: Row) -> str:
        return NOTHING if row.user is None else user_link(row.user.pk, row.user.email)

    @admin.display(description=gettext_lazy("network address"))
    def place(self, row: Row) -> str:
        return network_cell(row.network)


def _search_condition(search_term: str) -> Q:
    """Search networks and ids by index; users by a part of their name."""
    text = search_term.strip()[:SEARCH_MAX_LENGTH]
    if not text:
        return Q()
    if "\x00" in text:
        return Q(pk__in=[])
    if (key := as_uuid(text)) is not None:
        return Q(pk=key) | Q(user_id=key)
    if network := network_name(text):
        return Q(network=network)
    return Q(user_id__in=found_user_ids(text))


def found_user_ids(text: str) -> list[UUID]:
    """The ids of users whose address or name has this part, MAX_USERS_FOUND at most."""
    found: list[UUID] = User.objects.found_ids(text, MAX_USERS_FOUND)
    return found


def stored_types() -> list[str]:
    """The distinct types of violations, sorted, at most MAX_TYPES.

    One step along the index per type: SELECT DISTINCT would read all rows.
    """
    found: list[str] = []
    types = Violation.objects.order_by("type").values_list("type", flat=True)
    following = types.first()
    while following is not None and len(found) < MAX_TYPES:
        found.append(following)
        following = types.filter(type__gt=following).first()
    return found
